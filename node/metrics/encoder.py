"""The metrics of an encoder: its model, its rounds, its place in the network."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from prometheus_client import Gauge, GCCollector, PlatformCollector, ProcessCollector

from node.metrics import catalogue as m
from node.metrics.collectors import DiskCollector, OwnPlaceCollector, StatusCollector
from node.metrics.registry import NodeMetrics
from node.metrics.rounds import StateMeter
from node.status import STATUS_FILE_NAME, read_status
from protocol.audit import AuditedReport
from protocol.epochs.known import Epochs
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound

Answer = Callable[[ShardRound, int, Sequence[bytes]], Awaitable[bytes]]


class EncoderMetrics(NodeMetrics):
    """Observed as waves and reports come; the rest is read when it is scraped."""

    def __init__(self, epochs: Epochs, me: bytes, folder: Path) -> None:
        """`folder` is the data directory."""
        super().__init__("encoder")
        registry = self.registry
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        self._me = me
        self._states = StateMeter(registry)
        self._model = m.MODEL.histogram(registry)
        self._views = m.MODEL_VIEWS.counter(registry)
        self._waves = m.WAVES.counter(registry)
        self._rounds = m.OWN_ROUNDS.counter(registry)
        self._score = Gauge(m.OWN_SCORE.name, m.OWN_SCORE.help, registry=registry)
        self._weight = Gauge(m.OWN_WEIGHT.name, m.OWN_WEIGHT.help, registry=registry)
        self.read(StatusCollector(lambda: read_status(folder / STATUS_FILE_NAME), lambda: epochs.newest))
        self.read(OwnPlaceCollector(lambda: epochs.newest, me))
        self.read(DiskCollector(folder))

    def step(self, step: fx.Publish) -> None:
        """Take note of a step of one's own round."""
        self._states.reach(step)

    def timed(self, answer: Answer) -> Answer:
        """The same answers, observed; an empty one is counted by who refused it."""

        async def observed(at: ShardRound, wave: int, views: Sequence[bytes]) -> bytes:
            began_s = time.perf_counter()
            try:
                answers = await answer(at, wave, views)
            except Exception:
                self.unanswered("failed")
                raise
            if answers:
                self._model.labels(str(wave)).observe(time.perf_counter() - began_s)
                self._views.inc(len(views))
                self._waves.labels("answered").inc()
            return answers

        return observed

    def unanswered(self, outcome: str) -> None:
        """A wave that got no answer: refused, skipped or failed."""
        self._waves.labels(outcome).inc()

    def report(self, report: AuditedReport) -> None:
        """Take note of this encoder's place in a certified report. From any thread."""
        if self._me not in report.task.encoders:
            return
        offset = 8 * report.task.encoders.index(self._me)
        (score,) = struct.unpack_from("<d", report.body.scores.score, offset)
        (weight,) = struct.unpack_from("<d", report.body.scores.weight, offset)
        self._rounds.labels("some" if weight > 0 else "none").inc()
        self._score.set(score)
        self._weight.set(weight)
