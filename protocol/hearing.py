"""What one node has heard: every statement is judged once, the first of each slot is kept, a second accuses.

Pure and bounded; time is passed in. The node and the simulator judge through it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, TypeVar

from protocol.epochs.known import Epochs
from protocol.evidence import equivocation, vote_slot
from protocol.gossip_rules import Gossip, Judgement, accused_of, judge, known_slot
from protocol.messages import Body, Evidence
from protocol.schedule import ShardRound
from protocol.statement import Read, Statement, parse
from protocol.verdict import Verdict

SEEN_MAX = 65_536
"""Statements, vote slots and accusations remembered; the oldest go first. Rounds expire long before."""

K = TypeVar("K")


class Heard(NamedTuple):
    """What to do with received bytes: the verdict, and evidence to gossip when they contradict a slot."""

    judgement: Judgement
    evidence: Evidence | None = None


class Hearing:
    """The memory of one node about what members have said."""

    def __init__(self, epochs: Epochs, read: Read = parse) -> None:
        self._epochs = epochs
        self._read = read
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._slots: OrderedDict[tuple[object, ...], Statement[Body]] = OrderedDict()
        self._accused: OrderedDict[tuple[ShardRound, bytes], None] = OrderedDict()

    @property
    def entries_max(self) -> int:
        """Entries of the largest table."""
        return max(len(self._seen), len(self._slots), len(self._accused))

    def hear(self, data: bytes, now_ms: int, topic: str | None = None) -> Heard:
        """Judge bytes received on a topic or a stream; what is accepted is remembered. Never raises."""
        gossip = Gossip(self._epochs, now_ms, self._seen.__contains__, self._slots.get, topic, self._read)
        judgement = judge(data, gossip)
        statement = judgement.statement
        if statement is None:
            return Heard(judgement, self._once(judgement.evidence))
        if judgement.verdict is Verdict.ACCEPT:
            self.remember(statement)
            return Heard(judgement)
        slot = vote_slot(statement)
        first = self._slots.get(slot) if slot is not None else None
        if slot is None or first is None:
            return Heard(judgement)
        _add(self._seen, statement.digest)
        return Heard(judgement, self._once(equivocation(first, statement)))

    def _once(self, evidence: Evidence | None) -> Evidence | None:
        """Evidence unless its author was accused of this round: who lies a thousand times is accused once."""
        if evidence is None:
            return None
        accused = accused_of(evidence, self._epochs.genesis.network_id)
        if accused is None or accused in self._accused:
            return None
        _add(self._accused, accused)
        return evidence

    def remember(self, statement: Statement[Body]) -> None:
        """Take note of a statement that needs no judging: one's own."""
        _add(self._seen, statement.digest)
        slot = known_slot(statement, self._epochs.genesis.network_id)
        if slot is not None:
            self._slots.setdefault(slot, statement)
            while len(self._slots) > SEEN_MAX:
                self._slots.popitem(last=False)


def _add(table: OrderedDict[K, None], key: K) -> None:
    table[key] = None
    while len(table) > SEEN_MAX:
        table.popitem(last=False)
