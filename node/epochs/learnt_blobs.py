"""What epochs have learnt, kept among the blobs, and what the next learns from the stored reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import structlog
import trio

from node.epochs.learning import ShardVectors, learn_from
from node.network.errors import FetchError
from node.store import RoundRecord, Store
from protocol.codec import CodecError, decode
from protocol.epochs.inputs import CertifiedRef
from protocol.epochs.known import Epochs
from protocol.epochs.learnt import Learnt, LearntError, named_in, shaping_percent
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.record import NOTHING, EpochRecord
from protocol.messages import Report
from protocol.report import BODY_BYTES_MAX, DIMENSIONS, ReportBody
from protocol.rounds.effects import Purpose
from protocol.schedule import ShardRound
from protocol.statement import parse

if TYPE_CHECKING:  # it imports libp2p, which processes that only read do without
    from node.network.exchange import Exchange

EPOCHS_KEPT = 16
"""Newest epochs whose means and moments are kept; older ones go, but for rounds whose answers are kept."""

log = structlog.get_logger(__name__)


class LearntBlobs:
    """Means and moments by the digests that records name them by. Remembers what it computed last."""

    def __init__(self, epochs: Epochs, store: Store) -> None:
        self._epochs = epochs
        self._store = store
        self._last: tuple[bytes, tuple[CertifiedRef, ...], Learnt] | None = None

    def learn(self, rounds: Sequence[CertifiedRef], outcomes: Mapping[ShardRound, RoundOutcome]) -> Learnt:
        """What the next epoch learns from stored rounds; it is kept. Raises LearntError, StoreError."""
        members = self._epochs.newest
        asked = tuple(rounds)
        if self._last is not None and self._last[:2] == (members.digest, asked):
            return self._last[2]
        before = learnt_of(self._store, members.record)
        learnt = before
        if asked:
            earlier = self._epochs.of(members.number - 1)
            keys = {state.public_key for state in members.table.encoders}
            centred = earlier.record.means != NOTHING
            percent = shaping_percent(members.genesis.parameters.rule)
            learnt = learn_from(before, keys, centred, self._vectors(asked, outcomes), percent)
            self.keep(learnt, members.number + 1)
        self._last = (members.digest, asked, learnt)
        return learnt

    def keep(self, learnt: Learnt, epoch: int) -> None:
        """Make what an epoch learnt durable. Raises StoreError."""
        for data in learnt:
            if data:
                self._store.put_blob(data, self._first_round(epoch), Purpose.LEARNT)

    async def complete(self, exchange: Exchange, source: bytes) -> None:
        """Fetch what the newest two records name and is not here. Raises StoreError."""
        for number in (self._epochs.newest.number, self._epochs.newest.number - 1):
            epoch = self._epochs.find(number)
            if epoch is None:
                continue
            for name, size_bytes in named_in(epoch.record):
                if await trio.to_thread.run_sync(self._store.blobs.has, name):
                    continue
                try:
                    data = await exchange.fetch(name, size_bytes, (source,))
                except FetchError as error:
                    log.info("epoch.incomplete", epoch=number, digest=name.hex()[:8], reason=str(error))
                    continue
                first_round = self._first_round(number)
                await trio.to_thread.run_sync(self._store.put_blob, data, first_round, Purpose.LEARNT)

    def kept_from(self, round_: int) -> int:
        """First round of the oldest epoch whose means are kept, when answers are from `round_` on."""
        return min(round_, self._first_round(self._epochs.newest.number - EPOCHS_KEPT + 1))

    def _first_round(self, epoch: int) -> int:
        return max(0, epoch) * self._epochs.genesis.parameters.epoch_rounds

    def _vectors(
        self, rounds: Sequence[CertifiedRef], outcomes: Mapping[ShardRound, RoundOutcome]
    ) -> Iterator[ShardVectors]:
        """Newest first, one report in memory at a time."""
        for ref in reversed(rounds):
            outcome = outcomes[ref.at]
            body = self._body(self._store.round(ref.at.round, ref.at.shard))
            means = np.frombuffer(body.scores.means, "<f4").reshape(-1, DIMENSIONS)
            yield ShardVectors(
                [key for key, here in zip(outcome.encoders, outcome.revealed, strict=True) if here],
                means[np.array(outcome.revealed, dtype=bool)],
                np.frombuffer(body.scores.consensus, "<f4").reshape(-1, DIMENSIONS),
            )

    def _body(self, record: RoundRecord | None) -> ReportBody:
        if record is None or record.header is None:
            raise LearntError("a round it takes up is not here")
        header = parse(record.header, self._epochs.genesis.network_id).body
        assert isinstance(header, Report)
        data = self._store.blobs.get(header.body)
        try:
            if data is not None:
                return decode(data, ReportBody, size_bytes_max=BODY_BYTES_MAX)
        except CodecError as error:
            raise LearntError(f"the report of round {record.round} cannot be read: {error}") from None
        raise LearntError(f"the report of round {record.round} is not here")


def learnt_of(store: Store, record: EpochRecord) -> Learnt:
    """What a record names, from the blobs. Raises LearntError when it is not here."""
    found = []
    for name in (record.means, record.moments):
        data = store.blobs.get(name) if name != NOTHING else b""
        if data is None:
            raise LearntError(f"what epoch {record.epoch} has learnt is not here: let the node catch up")
        found.append(data)
    return Learnt(*found)
