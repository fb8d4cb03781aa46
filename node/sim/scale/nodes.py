"""The simulator's validators and encoders, counting what they do and keeping no more than a round needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from node.sim.encoder import SimEncoder
from node.sim.node import SimNode
from node.sim.scale.meter import Tally
from node.sim.validator import SimValidator
from protocol.epochs.known import Epochs
from protocol.hearing import Heard
from protocol.messages import Body, Certificate
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from protocol.statement import Statement
from protocol.verdict import Verdict

BLOBS_MAX = 4_096
"""Blobs of one node, by reference: far more than the shards of a few rounds have."""


class MeteredNode(SimNode):
    """Counts into `tally`, which whoever runs the network takes at every round's end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.tally = Tally()

    def known_epochs(self) -> Epochs:
        """The observer's: ten thousand members for each of a thousand nodes would fill the machine."""
        return self.observer.epochs

    def follow(self) -> None:
        """Membership is held still here, so there are no records to follow."""

    def take_tally(self) -> Tally:
        """What was counted since the last time."""
        taken, self.tally = self.tally, Tally()
        return taken

    def enter(self, run: Callable[[], None]) -> None:
        """One event of this process, on the clock."""
        began_ns = time.thread_time_ns()
        super().enter(run)
        self.tally.cpu_ns += time.thread_time_ns() - began_ns

    def note(self, what: str) -> None:
        """No trace: it would cost more than what it tells of."""

    def say(self, body: Body) -> Statement[Body]:
        """Sign, counted."""
        self.tally.signed += 1
        return super().say(body)

    def heard(self, heard: Heard) -> None:
        """A statement was judged; its signature was verified unless a cheaper rule had decided."""
        self.tally.judged += 1
        if heard.judgement.verdict is Verdict.ACCEPT:
            self.tally.verified += 1

    def keep(self, name: bytes, data: bytes) -> None:
        """Keep a reference, under the digest, for whoever asks."""
        self._memory[name] = data
        while len(self._memory) > BLOBS_MAX:
            self._memory.popitem(last=False)


class ScaleValidator(MeteredNode, SimValidator):
    """A validator: nothing it writes is kept, its observer has seen it."""

    def slot_began(self, round_: int) -> None:
        """Nobody agrees on records here."""

    def one(self, at: ShardRound, effect: fx.Effect) -> None:
        """Carry out an effect; an audit has verified reveals, which are not gossiped."""
        if isinstance(effect, fx.Recompute):
            self.tally.verified += sum(answers is not None for answers in effect.task.answers)
        super().one(at, effect)

    def persist(self, fact: fx.Fact) -> None:
        """Tell the observer."""
        self.observer.persisted(self, fact)

    def keep(self, name: bytes, data: bytes) -> None:
        """As every metered node: the disk is not simulated here."""
        MeteredNode.keep(self, name, data)

    def blob(self, digest: bytes) -> bytes | None:
        """A blob of memory."""
        return self._memory.get(digest)


class ScaleEncoder(MeteredNode, SimEncoder):
    """An encoder, opened for the rounds it is drawn for."""

    def heard(self, heard: Heard) -> None:
        """It does not follow the votes, so it verifies each of a certificate's."""
        super().heard(heard)
        statement = heard.judgement.statement
        if heard.judgement.verdict is Verdict.ACCEPT and statement is not None:
            body = statement.body
            self.tally.verified += len(body.attestations) if isinstance(body, Certificate) else 0
