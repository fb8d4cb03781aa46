"""The metrics of a validator, where its API is served: what the node told, and what its service can read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import PlatformCollector, ProcessCollector

from node.api_process.wire import Measured
from node.metrics.collectors import DiskCollector, Queue, QuorumCollector, StatusCollector
from node.metrics.registry import NodeMetrics
from node.metrics.requests import RequestMeters
from node.metrics.stored import StoreCollector
from node.store import StoreLimits
from protocol.epochs.view import Epoch

if TYPE_CHECKING:  # it imports the framework, which only the API's process pays for
    from node.api.service import Service

SCORING_PROCESS = "deltamesh_scoring"
"""Prefix of what the kernel says of the scoring process."""
API_PROCESS = "deltamesh_api"
"""And of this one."""


def _nothing() -> Measured | None:
    """Before the node has told anything."""
    return None


class ValidatorMetrics(NodeMetrics):
    """`measured` gives what the node told last; `node_pid` is its process, this one where none is given."""

    def __init__(
        self, measured: Callable[[], Measured | None] = _nothing, node_pid: int | None = None
    ) -> None:
        super().__init__("validator")
        self._measured = measured
        ProcessCollector(pid=lambda: node_pid or os.getpid(), registry=self.registry)
        ProcessCollector(namespace=API_PROCESS, registry=self.registry)
        # There is no process 0: where none runs nothing is shown.
        ProcessCollector(namespace=SCORING_PROCESS, pid=self._scoring_pid, registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = RequestMeters(self.registry)
        self.queues.watch_more(self._node_queues)

    def read_service(self, service: Service) -> None:
        """Read what a service has, whenever the metrics are scraped."""
        from node.api.routes.events import LISTENERS_MAX

        store, limits = service.store, StoreLimits(blobs_bytes_max=service.settings.blob_bytes_max)

        def newest() -> Epoch:
            return service.epochs.of(store.newest_epoch())

        def blobs_bytes() -> int:
            told = self._measured()
            return 0 if told is None else told.blobs_bytes

        self.queues.watch("items", store.queue_length, limits.pending_items_max)
        self.queues.watch("listeners", lambda: service.events.listeners, LISTENERS_MAX)
        self.read(StatusCollector(service.status, newest))
        self.read(QuorumCollector(newest))
        self.read(StoreCollector(store, service.directory.store, service.epochs, newest, blobs_bytes, limits))
        self.read(DiskCollector(service.directory.root))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format: the node's own first."""
        told = self._measured()
        return (b"" if told is None else told.exposition) + super().exposition()

    def _scoring_pid(self) -> int:
        told = self._measured()
        return 0 if told is None else told.scoring_pid

    def _node_queues(self) -> Iterator[tuple[str, Queue]]:
        told = self._measured()
        for name, length, limit in () if told is None else told.queues:
            yield name, Queue(lambda length=length: length, limit)  # type: ignore[misc]
