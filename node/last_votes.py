"""The newest vote heard of each key, so that its owner can ask whether somebody else uses it too."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from protocol.evidence import vote_slot
from protocol.messages import Body
from protocol.statement import Statement

METHOD = "votes.last"
SIGNERS_MAX: Final = 8_192
VOTE_BYTES_MAX: Final = 4 << 10
"""Larger ones are not kept: only locks of large shards are, and who locks also attests."""


class LastVotes:
    """Bounded by SIGNERS_MAX statements of VOTE_BYTES_MAX; who was silent longest is forgotten first."""

    def __init__(self) -> None:
        self._votes: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()

    def note(self, statement: Statement[Body]) -> None:
        """Take note of a statement whose signature was checked."""
        slot = vote_slot(statement)
        if slot is None or len(statement.data) > VOTE_BYTES_MAX:
            return
        round_ = slot[1].round
        held = self._votes.get(statement.signer)
        if held is None or round_ >= held[0]:
            self._votes[statement.signer] = (round_, statement.data)
            self._votes.move_to_end(statement.signer)
        if len(self._votes) > SIGNERS_MAX:
            self._votes.popitem(last=False)

    def of(self, key: bytes) -> bytes:
        """The newest vote heard of a key, as its envelope; empty where there is none."""
        return self._votes.get(key, (0, b""))[1]
