"""Statements in and out: everything received is judged once, everything said is signed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import trio

from node.clock import now_ms
from node.last_votes import LastVotes
from node.network.counters import Counters
from node.signer import Signer, VoteSlot
from protocol.epochs.known import Epochs
from protocol.evidence import vote_slot
from protocol.gossip_rules import Judgement
from protocol.hashing import content_digest
from protocol.hearing import Hearing
from protocol.messages import Body, Evidence
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict

B = TypeVar("B", bound=Body)

HANDED_MAX = 256


class Handed:
    """Statements that a stream has brought before gossip did, oldest forgotten first.

    When gossip brings one too it is forwarded, once: a mesh in which those of a shard forward nothing of what
    was handed to them would have holes where they are.
    """

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def add(self, data: bytes) -> None:
        """Remember a statement that was handed over."""
        self._digests[content_digest(data)] = None
        if len(self._digests) > HANDED_MAX:
            self._digests.popitem(last=False)

    def take(self, data: bytes) -> bool:
        """Whether a statement was handed over; forgets it."""
        return self._digests.pop(content_digest(data), False) is None


class Statements:
    """Judges what comes in, remembers what was accepted, and signs what goes out."""

    def __init__(self, epochs: Epochs, signer: Signer, counters: Counters) -> None:
        self.genesis = epochs.genesis
        self.epochs = epochs
        self._signer = signer
        self._counters = counters
        self._hearing = Hearing(epochs)
        self.last_votes = LastVotes()
        self.on_signed: Callable[[Statement[Body]], None] = lambda _: None
        """Called with what others bring and is signed by its signer, whether it counts or not."""
        self.on_accepted: Callable[[Statement[Body]], None] = lambda _: None
        """Called with every statement that is new and valid."""
        self.on_evidence: Callable[[Evidence], None] = lambda _: None
        """Called when a member is caught saying two things for one slot."""

    def receive(self, data: bytes, topic: str | None = None) -> Judgement:
        """Judge bytes received on a topic or a stream; what is accepted is remembered and handed on.

        Never raises.
        """
        heard = self._hearing.hear(data, now_ms(), topic)
        judgement = heard.judgement
        self._counters.add(f"statements.{judgement.verdict.value}")
        if judgement.statement is not None:
            self.last_votes.note(judgement.statement)
            self.on_signed(judgement.statement)
        if judgement.verdict is Verdict.ACCEPT and judgement.statement is not None:
            self.on_accepted(judgement.statement)
        if heard.evidence is not None:
            self.on_evidence(heard.evidence)
        return judgement

    async def sign(self, body: B) -> Statement[B]:
        """Sign a body under the one-vote rule. Raises SignerError when the signer refuses."""
        key = self._signer.public_key
        name = statement_digest(self.genesis.network_id, key, body)
        draft: Statement[B] = Statement(body, key, name, b"", b"")
        slot = vote_slot(draft)
        if slot is None:
            signature = self._signer.sign_free(name)
        else:
            kind, at, wave, _ = slot
            vote = VoteSlot(kind.value, at.epoch, at.round, at.shard, wave)
            signature = await trio.to_thread.run_sync(self._signer.sign, vote, name)
        statement = assemble(self.genesis.network_id, key, body, signature)
        self._hearing.remember(statement)
        return statement
