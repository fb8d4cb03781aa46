"""What one node has heard: every statement is judged once, the first of each slot is kept, a second accuses.

Pure and bounded; time is passed in. The node and the simulator judge through it. A statement is remembered
for as long as it counts: of one whose round is over the gossip rules say so without looking here.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, TypeVar

from protocol.epochs.known import Epochs
from protocol.evidence import equivocation, vote_slot
from protocol.gossip_rules import (
    EVIDENCE_ROUNDS_KEPT,
    Gossip,
    Judgement,
    accused_of,
    judge,
    known_slot,
    rounds_kept,
)
from protocol.messages import Body, Evidence
from protocol.schedule import ShardRound, round_at
from protocol.statement import Read, Statement, parse
from protocol.verdict import Verdict

SEEN_MAX = 65_536
"""Statements, vote slots and accusations remembered; the oldest go first. Rounds expire long before."""
SLOT_BYTES_MAX = 64 << 20
"""Of envelopes kept for their slots; with what is decoded of them they take several times it."""
SLACK_ROUNDS = 8
"""Remembered for so many rounds more: a clock may be set back."""

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
        # By digest and by slot, with the last round in which it counts; accusations by what they accuse of.
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._slots: OrderedDict[tuple[object, ...], tuple[Statement[Body], int]] = OrderedDict()
        self._slot_bytes = 0
        self._accused: OrderedDict[tuple[ShardRound, bytes], int] = OrderedDict()
        self._round = 0  # that was heard in last

    @property
    def entries_max(self) -> int:
        """Entries of the largest table."""
        return max(len(self._seen), len(self._slots), len(self._accused))

    def hear(self, data: bytes, now_ms: int, topic: str | None = None) -> Heard:
        """Judge bytes received on a topic or a stream; what is accepted is remembered. Never raises."""
        self._forget_until(round_at(self._epochs.genesis, now_ms))
        gossip = Gossip(self._epochs, now_ms, self._seen.__contains__, self._first_in, topic, self._read)
        judgement = judge(data, gossip)
        statement = judgement.statement
        if statement is None:
            return Heard(judgement, self._once(judgement.evidence))
        if judgement.verdict is Verdict.ACCEPT:
            self.remember(statement)
            return Heard(judgement)
        slot = vote_slot(statement)
        first = self._first_in(slot) if slot is not None else None
        if slot is None or first is None:
            return Heard(judgement)
        _add(self._seen, statement.digest, self._counts_until(statement, slot[1]))
        return Heard(judgement, self._once(equivocation(first, statement)))

    def _once(self, evidence: Evidence | None) -> Evidence | None:
        """Evidence unless its author was accused of this round: who lies a thousand times is accused once."""
        if evidence is None:
            return None
        accused = accused_of(evidence, self._epochs.genesis.network_id)
        if accused is None or accused in self._accused:
            return None
        _add(self._accused, accused, accused[0].round + EVIDENCE_ROUNDS_KEPT)
        return evidence

    def remember(self, statement: Statement[Body]) -> None:
        """Take note of a statement that needs no judging: one's own."""
        slot = known_slot(statement, self._epochs.genesis.network_id)
        if slot is None:
            return  # it accuses nobody: said again it is refused for that
        until = self._counts_until(statement, slot[1])
        _add(self._seen, statement.digest, until)
        if slot in self._slots:
            return
        self._slots[slot] = (statement, until)
        self._slot_bytes += len(statement.data)
        while len(self._slots) > SEEN_MAX or self._slot_bytes > SLOT_BYTES_MAX:
            self._drop(next(iter(self._slots)))

    def _first_in(self, slot: tuple[object, ...]) -> Statement[Body] | None:
        held = self._slots.get(slot)
        return None if held is None else held[0]

    def _counts_until(self, statement: Statement[Body], at: ShardRound) -> int:
        return at.round + rounds_kept(statement.kind, self._epochs.genesis)

    def _drop(self, slot: tuple[object, ...]) -> None:
        self._slot_bytes -= len(self._slots.pop(slot)[0].data)

    def _forget_until(self, round_: int) -> None:
        """Forget what counts no longer; once a round, in time proportional to what is remembered."""
        if round_ == self._round:
            return
        self._round = round_
        before = round_ - SLACK_ROUNDS
        for slot in [slot for slot, (_, until) in self._slots.items() if until < before]:
            self._drop(slot)
        _drop_before(self._seen, before)
        _drop_before(self._accused, before)


def _add(table: OrderedDict[K, int], key: K, until: int) -> None:
    table[key] = until
    while len(table) > SEEN_MAX:
        table.popitem(last=False)


def _drop_before(table: OrderedDict[K, int], round_: int) -> None:
    for key in [key for key, until in table.items() if until < round_]:
        del table[key]
