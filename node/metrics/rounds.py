"""What is observed as it happens: the steps of rounds, and requests to the scoring process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, TypeVarTuple

from prometheus_client import CollectorRegistry

from node.metrics import catalogue as m
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound

SEEN_MAX: Final = 4_096
"""Shard-rounds and states remembered, so that each is counted once."""

Args = TypeVarTuple("Args")
Answer = TypeVar("Answer")

_STATES: Final = {fx.Step(state): state for state in m.ROUND_STATES}


class RoundMeters:
    """Observes the steps a validator publishes. Takes a microsecond a step."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._states = StateMeter(registry)
        self._round = m.LATENCY.histogram(registry)
        self._wave = m.WAVE.histogram(registry)
        self._reveal = m.REVEAL.histogram(registry)
        self._report = m.REPORT.histogram(registry)
        self._answers = m.WAVE_ANSWERS.counter(registry)
        self._reveals = m.REVEALS.counter(registry)
        self._late = m.LATE.counter(registry)
        self._records = m.EPOCH_RECORDS.counter(registry)

    def observed(self, publish: Callable[[fx.Publish], None]) -> Callable[[fx.Publish], None]:
        """What publishes steps, observed."""

        def both(step: fx.Publish) -> None:
            publish(step)
            self.step(step)

        return both

    def step(self, step: fx.Publish) -> None:
        """Take note of one step."""
        seconds = step.elapsed_ms / 1_000
        outcomes = (("answered", len(step.answered)), ("missing", len(step.missing)))
        if not self._states.reach(step):
            return
        match step.step:
            case fx.Step.LOCKED:
                wave = str(step.wave)
                self._wave.labels(wave).observe(seconds)
                for outcome, count in outcomes:
                    self._answers.labels(wave, outcome).inc(count)
            case fx.Step.REVEALED:
                self._reveal.observe(seconds)
                for outcome, count in outcomes:
                    self._reveals.labels(outcome).inc(count)
            case fx.Step.REPORTED:
                self._report.observe(seconds)
            case fx.Step.CERTIFIED:
                self._round.observe(seconds)
            case fx.Step.LATE:
                self._late.inc(len(step.answered))
            case fx.Step.EPOCH_DECIDED:
                self._records.labels("decided").inc()
            case fx.Step.EPOCH_REFUSED:
                self._records.labels("refused").inc()
            case _:
                pass


class StateMeter:
    """Counts the states shard-rounds reach, each once: a dealer also attests, and both say it is void."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rounds = m.ROUNDS.counter(registry)
        self._seen: OrderedDict[tuple[ShardRound, str], None] = OrderedDict()

    def reach(self, step: fx.Publish) -> bool:
        """Count the step if it is a state; False where it was counted before."""
        state = _STATES.get(step.step)
        if state is None:
            return True
        if (step.at, state) in self._seen:
            return False
        self._seen[step.at, state] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        self._rounds.labels(state).inc()
        return True


class ScoringMeter:
    """Times requests to the scoring process and knows how many are under way or wait."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = m.SCORING.histogram(registry)
        self._failed = m.SCORING_FAILED.counter(registry)
        self.waiting = 0
        """Requests not answered yet, the one at work included."""

    def timed(
        self, task: str, ask: Callable[[*Args], Awaitable[Answer]]
    ) -> Callable[[*Args], Awaitable[Answer]]:
        """The same request, observed as `task`: score or compare."""
        seconds, failed = self._seconds.labels(task), self._failed.labels(task)

        async def observed(*args: *Args) -> Answer:
            began_s = time.perf_counter()
            self.waiting += 1
            answered = False
            try:
                answer = await ask(*args)
                answered = True
                return answer
            finally:
                self.waiting -= 1
                if answered:
                    seconds.observe(time.perf_counter() - began_s)
                else:
                    failed.inc()

        return observed
