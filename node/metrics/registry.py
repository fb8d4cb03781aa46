"""The metrics of one node: a registry of its own, and the text that Prometheus reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Final, Protocol

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    disable_created_metrics,
)
from prometheus_client.core import Metric as Exposed
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from node.metrics import catalogue as m
from node.metrics.collectors import QueueCollector
from node.status import StatusError
from node.store.errors import StoreError
from node.version import software_version
from protocol.codec import CodecError

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

log = structlog.get_logger(__name__)


class Collects(Protocol):
    """Reads metrics when it is asked to."""

    def collect(self) -> Iterator[Exposed]:
        """The metrics now."""


class NodeMetrics:
    """Everything one node measures. Observing is thread-safe; of several scrapes one works at a time."""

    def __init__(self, role: str) -> None:
        """`role` is `validator` or `encoder`."""
        # A second series for each counter, with the time of its first value: nobody asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.role = role
        self.registry = CollectorRegistry()
        self.queues = QueueCollector()
        self._reader = _Reader(m.COLLECT_FAILED.counter(self.registry))
        self._scrape = threading.Lock()
        self.registry.register(self._reader)
        self.read(self.queues)
        self.read(_Build(role))

    def read(self, collector: Collects) -> None:
        """Read this too whenever the metrics are scraped."""
        self._reader.collectors.append(collector)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format. Never raises for what cannot be read: it is left out."""
        with self._scrape:
            return generate_latest(self.registry)


class _Reader:
    """Runs the collectors; one that fails is left out, counted, and costs the others nothing."""

    def __init__(self, failed: Counter) -> None:
        self.collectors: list[Collects] = []
        self._failed = failed

    def describe(self) -> list[Exposed]:
        """Nothing: the registry would collect everything when it is made, only to learn names."""
        return []

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        began_s = time.perf_counter()
        for collector in self.collectors:
            try:
                found = list(collector.collect())
            except (StoreError, StatusError, CodecError, OSError) as error:
                self._failed.inc()
                log.warning("metrics.incomplete", source=type(collector).__name__, reason=str(error))
                continue
            yield from found
        yield m.COLLECT.family().add(time.perf_counter() - began_s).exposed


class _Build:
    def __init__(self, role: str) -> None:
        self._labels = (software_version(), role)

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        yield m.BUILD.family().add(1, self._labels).exposed
