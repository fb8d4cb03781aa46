"""What a validator's node counts in its own memory, told to the process that serves it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, GCCollector, disable_created_metrics
from prometheus_client.exposition import generate_latest

from node.api_process.wire import Measured
from node.driver import INBOX_MAX, Driver
from node.metrics.rounds import RoundMeters, ScoringMeter
from node.roles.recorder import WAITING_MAX, Recorder
from node.scoring_worker import ScoringWorker
from node.store import DiskBlobs


class ValidatorMeters:
    """Observed from the start; observing is thread-safe."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        GCCollector(registry=self.registry)
        self.rounds = RoundMeters(self.registry)
        self.scoring = ScoringMeter(self.registry)
        self._queues: list[tuple[str, Callable[[], int], int | None]] = []
        self._blobs_bytes: Callable[[], int] = lambda: 0
        self._scoring_pid: Callable[[], int | None] = lambda: None

    def watch_node(self, driver: Driver, recorder: Recorder, worker: ScoringWorker, blobs: DiskBlobs) -> None:
        """Ask the running node for what only it knows: its queues, its blobs, its scoring process."""
        self._queues = [
            ("driver", driver.waiting, INBOX_MAX),
            ("recorder", recorder.waiting, WAITING_MAX),
            ("scoring", lambda: self.scoring.waiting, None),
        ]
        self._blobs_bytes = lambda: blobs.size_bytes
        self._scoring_pid = lambda: worker.pid

    def measured(self) -> Measured:
        """All of it now."""
        return Measured(
            generate_latest(self.registry),
            tuple((name, length(), limit) for name, length, limit in self._queues),
            self._blobs_bytes(),
            self._scoring_pid() or 0,
        )
