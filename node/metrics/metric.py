"""What one metric is: name, kind, labels with every value they can have, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX: Final = "deltamesh_"


class Kind(StrEnum):
    """The metric types of Prometheus that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Exporter(StrEnum):
    """Which nodes have a metric."""

    BOTH = "both"
    VALIDATOR = "validator"
    ENCODER = "encoder"


@dataclass(frozen=True, slots=True)
class Label:
    """A label and every value it can have; none are listed where software, not peers, names them."""

    name: str
    values: tuple[str, ...] = ()
    what: str = ""
    """Where the values come from, if they are not listed."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus sees it; a counter's name ends in `_total`, units are last before that."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, in its unit."""
    exporter: Exporter = Exporter.BOTH

    @property
    def label_names(self) -> tuple[str, ...]:
        """In the order samples give them."""
        return tuple(label.name for label in self.labels)

    @property
    def unit(self) -> str:
        """`seconds`, `bytes`, `ratio` or `timestamp` as the name says it; empty for a plain number."""
        stem = self.name.removesuffix("_total")
        if stem.endswith("_timestamp_seconds"):
            return "Unix seconds"
        return next((unit for unit in ("seconds", "bytes", "ratio") if stem.endswith(f"_{unit}")), "")

    def counter(self, registry: CollectorRegistry) -> Counter:
        """The counter itself, at 0 for every value of its labels: a rate needs a first value."""
        made = Counter(self.name, self.help, self.label_names, registry=registry)
        if len(self.labels) == 1:
            for value in self.labels[0].values:
                made.labels(value)
        return made

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """The histogram itself."""
        made = Histogram(self.name, self.help, self.label_names, registry=registry, buckets=self.buckets)
        if len(self.labels) == 1:
            for value in self.labels[0].values:
                made.labels(value)
        return made

    def family(self) -> Family:
        """An empty family, to be filled while it is scraped."""
        return Family(self)


class Family:
    """The samples of one metric that is read when it is scraped."""

    def __init__(self, metric: Metric) -> None:
        made = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        assert metric.kind is not Kind.HISTOGRAM, f"{metric.name} has to be observed"
        self.exposed: CounterMetricFamily | GaugeMetricFamily = made(
            metric.name, metric.help, labels=metric.label_names
        )

    def add(self, value: float, labels: Sequence[str] = ()) -> Family:
        """One sample."""
        self.exposed.add_metric(list(labels), value)
        return self
