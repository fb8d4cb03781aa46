"""The watch for another node with the same key: at the start, before anything is signed, and from then on.

A node that starts signs nothing for some rounds. Meanwhile it looks for votes of its own key that are not in
its signer's records, for slots that began after it did: only another process can have made them. Gossip alone
would not bring them, for it carries nothing back to the peer id it came from, and encoders do not hear votes;
so validators are asked for the newest vote they have heard of this key. What counts is the signed vote: who
lies can keep silent, but not accuse.
"""

from __future__ import annotations

from typing import Final

import structlog
import trio

from node.backup.restored import restored_path
from node.clock import now_ms
from node.last_votes import METHOD, VOTE_BYTES_MAX
from node.network.errors import RequestError
from node.network.host import Host
from node.roles.base import REJECT_COST, Node
from node.signer import Signer, SignerError, VoteSlot
from node.statements import Statements
from protocol.epochs.known import Epochs
from protocol.evidence import vote_slot
from protocol.gossip_rules import CLOCK_SKEW_MS
from protocol.messages import Body, Evidence
from protocol.schedule import round_at, slot_start_ms
from protocol.statement import Statement, StatementError, parse, verify_signature

RESTORED_ROUNDS: Final = 2
"""Watched after a restore, whatever the settings say."""
UNANSWERED_ROUNDS_MAX: Final = 8
"""A watch nobody answers goes on for so many rounds: there may be no other validator left to ask."""
ASKED_MAX: Final = 16
"""Validators asked at a time."""
ASK_EVERY_S: Final = 2.0
ANSWER_WITHIN_S: Final = 5.0
DECIDE_BEFORE_MS: Final = 500
"""Ahead of the slot in which it would vote."""
WATCHING: Final = "watching for another node with its key"
"""The phase a status shows meanwhile."""

log = structlog.get_logger(__name__)


class DoppelgangerFound(Exception):  # noqa: N818 (says what it is)
    """Another process signs with this node's key."""


class Doppelganger:
    """The watch of one node. Until it is over the signer's `first_round` lies behind it."""

    def __init__(
        self, node: Node, epochs: Epochs, host: Host, signer: Signer, statements: Statements
    ) -> None:
        self._node = node
        self._genesis = node.genesis
        self._epochs = epochs
        self._host = host
        self._signer = signer
        self._statements = statements
        self._found: str | None = None
        self._alarm = trio.Event()
        self._answered_ms = -1
        self._asking = False
        rounds = node.settings.doppelganger_rounds
        if restored_path(node.directory).exists():
            rounds = max(rounds, RESTORED_ROUNDS)
        # No earlier process with this key can have voted in it, for it had not begun.
        self._watched_from = round_at(self._genesis, now_ms() + CLOCK_SKEW_MS) + 1
        self._until = self._watched_from + rounds
        self._watching = rounds > 0
        if self._watching:
            signer.postpone(self._until)
            log.info("doppelganger.watching", until_round=self._until)
        statements.on_signed = self.hear
        host.handle(METHOD, self._answer, request_bytes_max=0, response_bytes_max=VOTE_BYTES_MAX)

    def phase(self, otherwise: str) -> str:
        """What the status says this node does."""
        return WATCHING if self._watching else otherwise

    def hear(self, statement: Statement[Body]) -> None:
        """A signed statement that others brought: votes of one's own key matter, alone or in evidence."""
        if isinstance(statement.body, Evidence):
            for vote in self._accused_of(statement.body):
                self._hear_vote(vote)
        else:
            self._hear_vote(statement)

    async def run(self) -> None:
        """Ask, and wait; never returns. Raises DoppelgangerFound."""
        async with trio.open_nursery() as nursery:
            while self._found is None:
                self._end_if_due()
                # Beside this loop: a validator that does not answer must not hold up what is decided here.
                if not self._asking and (self._watching or self._node.settings.doppelganger_rounds):
                    self._asking = True
                    nursery.start_soon(self._ask_all)
                with trio.move_on_after(self._pause_s()):
                    await self._alarm.wait()
            nursery.cancel_scope.cancel()
        raise DoppelgangerFound(self._found)

    def _pause_s(self) -> float:
        if not self._watching:
            return max(ASK_EVERY_S, self._genesis.parameters.slot_ms / 1000)
        to_decision_s = (self._decision_ms() - now_ms()) / 1000
        return min(ASK_EVERY_S, to_decision_s) if to_decision_s > 0 else DECIDE_BEFORE_MS / 1000

    def _decision_ms(self) -> int:
        return slot_start_ms(self._genesis, self._until) - DECIDE_BEFORE_MS

    def _accused_of(self, evidence: Evidence) -> list[Statement[Body]]:
        """The votes of one's own key in evidence, their signatures checked: it may be nobody's proof yet."""
        try:
            votes = [parse(data, self._genesis.network_id) for data in evidence.statements]
        except StatementError:
            return []
        return [vote for vote in votes if vote.signer == self._node.me and verify_signature(vote)]

    def _hear_vote(self, vote: Statement[Body]) -> None:
        slot = vote_slot(vote)
        if slot is None or vote.signer != self._node.me:
            return
        kind, at, wave, _ = slot
        if at.round < max(self._watched_from, self._signer.recorded_from):
            return
        try:
            mine = VoteSlot(kind.value, at.epoch, at.round, at.shard, wave)
            if self._signer.has_signed(mine, vote.digest):
                return
        except SignerError as error:
            # Its records are being mended; the vote is heard again when it is asked for again.
            log.warning("doppelganger.untold", round=at.round, shard=at.shard, reason=str(error))
            return
        self._signer.forbid()
        log.error("doppelganger.found", round=at.round, shard=at.shard, kind=kind.value)
        self._found = (
            f"another node signs with the key {self._node.key.fingerprint}: its {kind.value} of round "
            f"{at.round} is not in {self._node.directory.signer}; this one has stopped signing. Find "
            "the other and stop one of them for good (if there is none, this clock is behind: set it right)"
        )
        self._alarm.set()

    def _end_if_due(self) -> None:
        now = now_ms()
        if not self._watching or now < self._decision_ms():
            return
        unanswered = self._answered_ms < slot_start_ms(self._genesis, self._until - 1)
        others = self._epochs.newest.validators.keys() - {self._node.me}
        if unanswered and others and self._until < self._watched_from + UNANSWERED_ROUNDS_MAX:
            self._until += 1
            self._signer.postpone(self._until)
            log.warning("doppelganger.unanswered", until_round=self._until)
            return
        if now < slot_start_ms(self._genesis, self._until):
            return
        self._watching = False
        restored_path(self._node.directory).unlink(missing_ok=True)
        log.info("doppelganger.none", first_round=self._until)

    async def _ask_all(self) -> None:
        newest = self._epochs.newest
        peers = [peer.public_key for peer in self._host.peers() if peer.public_key in newest.validators]
        async with trio.open_nursery() as nursery:
            for key in peers[:ASKED_MAX]:
                nursery.start_soon(self._ask, key)
        self._asking = False

    async def _ask(self, key: bytes) -> None:
        try:
            data = await self._host.request(
                key, METHOD, b"", timeout_s=ANSWER_WITHIN_S, response_bytes_max=VOTE_BYTES_MAX
            )
        except RequestError as error:
            log.debug("doppelganger.unasked", peer=key.hex()[:8], reason=str(error))
            return
        asked_ms = now_ms()
        if not data:
            self._answered_ms = asked_ms
            return
        try:
            vote = parse(data, self._genesis.network_id)
        except StatementError as error:
            self._host.penalise(key, REJECT_COST, f"its answer is no vote: {error}")
            return
        if vote.signer != self._node.me or not verify_signature(vote):
            self._host.penalise(key, REJECT_COST, "its answer is no vote of the key that asked")
            return
        self._answered_ms = asked_ms
        self.hear(vote)

    async def _answer(self, peer: bytes, _: bytes) -> bytes:
        return self._statements.last_votes.of(peer)
