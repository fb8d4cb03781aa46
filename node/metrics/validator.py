"""The metrics of a validator: what its rounds observe, and what its API's service can read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector

from node.driver import INBOX_MAX, Driver
from node.metrics.collectors import DiskCollector, QuorumCollector, StatusCollector
from node.metrics.registry import NodeMetrics
from node.metrics.requests import RequestMeters
from node.metrics.rounds import RoundMeters, ScoringMeter
from node.metrics.stored import StoreCollector
from node.roles.recorder import WAITING_MAX, Recorder
from node.scoring_worker import ScoringWorker
from node.store import DiskBlobs, StoreLimits
from protocol.epochs.view import Epoch

if TYPE_CHECKING:  # it imports the framework, which only a node with an API pays for
    from node.api.service import Service

SCORING_PROCESS = "deltamesh_scoring"
"""Prefix of what the kernel says of the scoring process."""


class ValidatorMetrics(NodeMetrics):
    """Observed from the start; what can be read is added with the service of its API."""

    def __init__(self) -> None:
        super().__init__("validator")
        self.rounds = RoundMeters(self.registry)
        self.scoring = ScoringMeter(self.registry)
        self.requests = RequestMeters(self.registry)
        self._blobs_bytes: Callable[[], int] | None = None

    def watch_node(self, driver: Driver, recorder: Recorder, worker: ScoringWorker, blobs: DiskBlobs) -> None:
        """Ask the running node for what only it knows: its queues, its blobs, its scoring process."""
        self.queues.watch("driver", driver.waiting, INBOX_MAX)
        self.queues.watch("recorder", recorder.waiting, WAITING_MAX)
        self.queues.watch("scoring", lambda: self.scoring.waiting)
        self._blobs_bytes = lambda: blobs.size_bytes
        # There is no process 0: where none runs nothing is shown.
        ProcessCollector(namespace=SCORING_PROCESS, pid=lambda: worker.pid or 0, registry=self.registry)

    def read_service(self, service: Service) -> None:
        """Read what a service has, whenever the metrics are scraped."""
        from node.api.routes.events import LISTENERS_MAX

        store, limits = service.store, StoreLimits(blobs_bytes_max=service.settings.blob_bytes_max)

        def newest() -> Epoch:
            return service.epochs.of(store.newest_epoch())

        def blobs_bytes() -> int:
            return store.blobs.size_bytes if self._blobs_bytes is None else self._blobs_bytes()

        self.queues.watch("items", store.queue_length, limits.pending_items_max)
        self.queues.watch("listeners", lambda: service.events.listeners, LISTENERS_MAX)
        self.read(StatusCollector(service.status, newest))
        self.read(QuorumCollector(newest))
        self.read(StoreCollector(store, service.directory.store, service.epochs, newest, blobs_bytes, limits))
        self.read(DiskCollector(service.directory.root))
