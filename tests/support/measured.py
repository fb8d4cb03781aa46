"""Scrapes in which everything was observed once: their metrics, with the values of their labels."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from node.epochs.history import ReadEpochs, keep_epoch
from node.metrics.catalogue import TERMS
from node.metrics.encoder import EncoderMetrics
from node.metrics.measured import ValidatorMeters
from node.metrics.rounds import RoundMeters
from node.metrics.stored import StoreCollector
from node.metrics.validator import ValidatorMetrics
from node.status import STATUS_FILE_NAME, write_status
from node.store import ScoreRecord, Store, StoreLimits
from protocol.epochs.known import Epochs
from protocol.rounds import effects as fx
from tests.support.api import guarded_client, service_over, status_of
from tests.support.certified_history import certified_history, open_store
from tests.support.records import GENESIS, Story, certificate

Scrape = dict[str, dict[str, set[str]]]
"""Name of a series -> label -> its values."""
HISTORY = certified_history()
AT = HISTORY.facts[-1].at
ENCODERS = tuple(person.key for person in HISTORY.encoders)
TIMED = fx.Publish(AT, fx.Step.LOCKED, 1, 2_500, ENCODERS[:3], ENCODERS[3:])
"""Wave 1, locked after 2.5 seconds by three of four encoders."""


def series_of(text: str) -> Scrape:
    """The series of a scrape."""
    found: Scrape = defaultdict(lambda: defaultdict(set))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found[sample.name]
            for label, value in sample.labels.items():
                labels[label].add(value)
    return found


def value_of(text: str, name: str, **labels: str) -> float | None:
    """The value of one series, None where there is none."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


@dataclass(frozen=True)
class Waiting:
    """A queue of the node."""

    length: int

    def waiting(self) -> int:
        return self.length


class Worker:
    """A scoring process: this one."""

    pid = os.getpid()


class Blobs:
    """Blobs of a megabyte."""

    size_bytes = 1 << 20


def publish_every_step(meters: RoundMeters) -> None:
    """Every step there is, and every wave."""
    for step in set(fx.Step) - {fx.Step.LOCKED}:
        meters.step(fx.Publish(AT, step, 0, 1_000, ENCODERS[:3], ENCODERS[3:]))
    for wave in (1, 2, 3):
        meters.step(fx.Publish(AT, fx.Step.LOCKED, wave, 1_000, ENCODERS[:3], ENCODERS[3:]))


def record_terms(store: Store) -> None:
    """Scores with terms for the newest certified round: one encoder of four has no weight."""
    store.record_scores(
        ScoreRecord(
            AT.round,
            AT.shard,
            key,
            0.2 * place,
            place / 6,
            {**dict.fromkeys(TERMS, 0.5 + place), "live": 1.0},
        )
        for place, key in enumerate(ENCODERS)
    )


def validator_scrape(folder: Path) -> str:
    """The whole of a validator's /metrics."""
    meters = ValidatorMeters()
    publish_every_step(meters.rounds)
    meters.watch_node(Waiting(3), Waiting(5), Worker(), Blobs())  # type: ignore[arg-type]
    measured = ValidatorMetrics(meters.measured)
    with service_over(folder, HISTORY) as service:
        with Store.open(service.directory.store, service.directory.blobs) as store:
            record_terms(store)
        client = guarded_client(service, measured)
        client.get("/v1/status")
        return client.get("/metrics").text


def epochs_scrape(folder: Path) -> str:
    """What a store tells that holds records of later epochs."""
    story = Story()
    story.go_on(story.known([]))
    with open_store(folder) as store:
        for epoch in story.taken:
            keep_epoch(store, epoch, certificate(epoch))
        epochs = ReadEpochs(GENESIS, store)
        registry = CollectorRegistry()
        path = folder / "store.sqlite"
        registry.register(
            StoreCollector(
                store,
                path,
                epochs,
                lambda: epochs.of(store.newest_epoch()),
                lambda: store.blobs.size_bytes,
                StoreLimits(),
            )
        )
        return generate_latest(registry).decode()


def encoder_scrape(folder: Path) -> str:
    """The whole of an encoder's metrics."""
    folder.mkdir(parents=True)
    write_status(folder / STATUS_FILE_NAME, status_of(HISTORY, role="encoder", last_certified_round=4))
    metrics = EncoderMetrics(Epochs(HISTORY.genesis), ENCODERS[0], folder)
    metrics.queues.watch("waves", lambda: 1, 4)
    metrics.step(fx.Publish(AT, fx.Step.REVEALED, answered=ENCODERS[:1]))
    return metrics.exposition().decode()


@cache
def everything() -> Scrape:
    """All series that nodes of both roles have."""
    found: Scrape = defaultdict(lambda: defaultdict(set))
    with TemporaryDirectory() as root:
        for name, scrape in (("v", validator_scrape), ("s", epochs_scrape), ("e", encoder_scrape)):
            for series, labels in series_of(scrape(Path(root) / name)).items():
                for label, values in labels.items():
                    found[series][label] |= values
                found[series]  # one without labels is there too
    return found
