"""What is read from a validator's store when somebody scrapes: the newest certified round, and totals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from prometheus_client.core import Metric as Exposed

from node.metrics import catalogue as m
from node.metrics.collectors import Newest
from node.metrics.metric import Family
from node.store import RoundRecord, ScoreRecord, Store, StoreLimits
from protocol.codec import decode
from protocol.epochs.known import Epochs
from protocol.epochs.record import RECORD_BYTES_MAX
from protocol.messages import Certificate, EpochCertificate
from protocol.statement import ENVELOPE_BYTES_MAX

LOOK_BACK_ROUNDS: Final = 16
"""Where no round among so many is certified, nobody asks by how much stake."""


class StoreCollector:
    """Reads a few rows; the heaviest are the scores of the newest certified round."""

    def __init__(
        self,
        store: Store,
        path: Path,
        epochs: Epochs,
        newest: Newest,
        blobs_bytes: Callable[[], int],
        limits: StoreLimits,
    ) -> None:
        """`store` is a connection of its own, so that no scrape holds the lock of the node's."""
        self._store = store
        self._path = path
        self._epochs = epochs
        self._newest = newest
        self._blobs_bytes = blobs_bytes
        self._limits = limits
        self._evidence_row = 0
        self._evidence = dict.fromkeys(m.OFFENCES, 0)
        self._decided: tuple[int, int] | None = None  # the newest epoch, and its slot

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry. Raises StoreError."""
        yield from self._sizes()
        yield from self._findings()
        yield from self._epoch_slot()
        newest = self._store.last_certified()
        if newest is not None:
            yield m.CERTIFIED_AT.family().add(newest.updated_ms / 1_000).exposed
            yield from self._scores(newest)
            yield from self._attested(newest)

    def _sizes(self) -> Iterator[Exposed]:
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        size = sum(file.stat().st_size for file in files if file.exists())
        yield m.STORE_BYTES.family().add(size).exposed
        yield m.STORE_LIMIT.family().add(self._limits.database_bytes_max).exposed
        yield m.BLOBS_BYTES.family().add(self._blobs_bytes()).exposed
        yield m.BLOBS_LIMIT.family().add(self._limits.blobs_bytes_max).exposed

    def _findings(self) -> Iterator[Exposed]:
        yield m.EMBEDDINGS.family().add(self._store.embeddings_recorded()).exposed
        yield m.DISPUTES.family().add(self._store.disputes_recorded()).exposed
        self._evidence_row, kinds = self._store.evidence_after(self._evidence_row)
        evidence = m.EVIDENCE.family()
        for kind in self._evidence:
            self._evidence[kind] += kinds.get(kind, 0)
            evidence.add(self._evidence[kind], (kind,))
        yield evidence.exposed

    def _epoch_slot(self) -> Iterator[Exposed]:
        number = self._newest().number
        if number and (self._decided is None or self._decided[0] != number):
            rows = self._store.epoch_rows(number, 1)
            if not rows or rows[0].epoch != number:
                return
            certificate = decode(rows[0].certificate, EpochCertificate, size_bytes_max=RECORD_BYTES_MAX)
            begin = number * self._epochs.genesis.parameters.epoch_rounds
            self._decided = (number, certificate.at.round - begin)
        if self._decided is not None:
            yield m.EPOCH_SLOT.family().add(self._decided[1]).exposed

    def _scores(self, newest: RoundRecord) -> Iterator[Exposed]:
        shards = range(self._epochs.genesis.parameters.shards_per_round)
        scores = [score for shard in shards for score in self._store.scores_of(newest.round, shard)]
        if not scores:
            return
        weighted = sum(score.weight > 0 for score in scores)
        scored = m.SCORED.family().add(weighted, ("some",))
        yield scored.add(len(scores) - weighted, ("none",)).exposed
        yield _statistics(m.SCORE.family(), [score.score for score in scores]).exposed
        yield _statistics(m.WEIGHT.family(), [score.weight for score in scores]).exposed
        terms = m.TERM.family()
        live = [score for score in scores if score.terms.get("live", 0.0) > 0]
        for name in m.TERMS:
            _statistics(terms, _measured(live, name), name)
        yield terms.exposed

    def _attested(self, newest: RoundRecord) -> Iterator[Exposed]:
        """Of the round before the newest: its late attestations have had time to come."""
        before = self._before(newest)
        epoch = None if before is None else self._epochs.find(before.epoch)
        if before is None or before.certificate is None or epoch is None or not epoch.total_stake:
            return
        certificate = decode(before.certificate, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX)
        certified = {vote.validator for vote in certificate.attestations}
        attested = certified | self._store.attesters(before.round, before.shard)
        stake = sum(member.stake for key, member in epoch.validators.items() if key in attested)
        yield m.ATTESTED.family().add(stake / epoch.total_stake).exposed

    def _before(self, newest: RoundRecord) -> RoundRecord | None:
        found = self._store.certified_between(max(0, newest.round - LOOK_BACK_ROUNDS), newest.round)
        return found[-1] if found else None


def _measured(scores: Sequence[ScoreRecord], name: str) -> list[float]:
    values = (score.terms.get(name, math.nan) for score in scores)
    return [value for value in values if math.isfinite(value)]


def _statistics(family: Family, values: Sequence[float], *labels: str) -> Family:
    if values:
        for statistic, of in (("min", min), ("median", median), ("max", max)):
            family.add(of(values), (*labels, statistic))
    return family
