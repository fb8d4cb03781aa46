"""Statements in and out: everything received is judged once, everything said is signed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import structlog
import trio

from node.clock import now_ms
from node.network.counters import Counters
from node.signer import Signer, VoteSlot
from protocol.evidence import equivocation, vote_slot
from protocol.genesis import Genesis
from protocol.gossip_rules import Gossip, Judgement, judge, known_slot
from protocol.messages import Body, Evidence
from protocol.schedule import ShardRound
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict

SEEN_MAX = 65_536
"""Statements, vote slots and accusations remembered; the oldest go first. Rounds expire long before."""

B = TypeVar("B", bound=Body)
K = TypeVar("K")
log = structlog.get_logger(__name__)


class Statements:
    """Judges what comes in, remembers what was accepted, and signs what goes out."""

    def __init__(self, genesis: Genesis, signer: Signer, counters: Counters) -> None:
        self.genesis = genesis
        self._signer = signer
        self._counters = counters
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._slots: OrderedDict[tuple[object, ...], Statement[Body]] = OrderedDict()
        self._accused: OrderedDict[tuple[ShardRound, bytes], None] = OrderedDict()
        self.on_accepted: Callable[[Statement[Body]], None] = lambda _: None
        """Called with every statement that is new and valid."""
        self.on_evidence: Callable[[Evidence], None] = lambda _: None
        """Called when a member is caught saying two things for one slot."""

    def receive(self, data: bytes, topic: str | None = None) -> Judgement:
        """Judge bytes received on a topic or a stream; what is accepted is remembered and handed on.

        Never raises.
        """
        seen = self._seen.__contains__
        judgement = judge(data, Gossip(self.genesis, now_ms(), seen, self._slots.get, topic))
        self._counters.add(f"statements.{judgement.verdict.value}")
        statement = judgement.statement
        if statement is None:
            return judgement
        if judgement.verdict is Verdict.ACCEPT:
            self._remember(statement)
            self.on_accepted(statement)
            return judgement
        slot = vote_slot(statement)
        first = self._slots.get(slot) if slot is not None else None
        if slot is not None and first is not None:
            _add(self._seen, statement.digest)
            # Once is enough: who signs a thousand contradictions must not make us gossip a thousand times.
            accused = (slot[1], statement.signer)
            if accused not in self._accused:
                _add(self._accused, accused)
                self.on_evidence(equivocation(first, statement))
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
        self._remember(statement)
        return statement

    def _remember(self, statement: Statement[Body]) -> None:
        _add(self._seen, statement.digest)
        slot = known_slot(statement, self.genesis.network_id)
        if slot is not None:
            self._slots.setdefault(slot, statement)
            while len(self._slots) > SEEN_MAX:
                self._slots.popitem(last=False)


def _add(table: OrderedDict[K, None], key: K) -> None:
    table[key] = None
    while len(table) > SEEN_MAX:
        table.popitem(last=False)
