"""Following the chain of epochs: records are pulled from any validator and believed by their certificates."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

import msgspec
import structlog
import trio

from node.epochs.admission import is_validator_of_late
from node.epochs.history import keep_record
from node.network.errors import RequestDenied, RequestRefused
from node.network.host import Host
from node.paging import pull_pages
from node.store import Store
from protocol.codec import Natural, Record, decode, encode
from protocol.epochs.agreed import CertifiedRecord, checked_record
from protocol.epochs.horizon import EVIDENCE_EPOCHS
from protocol.epochs.known import Epochs
from protocol.epochs.record import (
    RECORD_BYTES_MAX,
    TABLE_BYTES_MAX,
    EncoderTable,
    EpochRecord,
    table_of,
)
from protocol.epochs.view import Epoch
from protocol.messages import EpochCertificate
from protocol.rounds.effects import EpochDecided

RECORDS_METHOD = "epochs"
ENCODERS_METHOD = "epochs.encoders"
RECORDS_TOLD = 64
ANSWER_BYTES_MAX = 8 << 20
IDLE_S = 5.0
TABLES_WANTED = 2
"""A node without a store needs the encoders of the newest epochs only: this and the one before."""

log = structlog.get_logger(__name__)


class Ask(Record, frozen=True):
    """Records from this epoch on; or the encoders of it."""

    epoch: Natural


class Answer(Record, frozen=True):
    """Records in order, without a gap, as far as they fit."""

    records: Annotated[tuple[CertifiedRecord, ...], msgspec.Meta(max_length=RECORDS_TOLD)]


async def _nothing_more(_: bytes) -> None:
    """Who does not score needs the records alone."""


@dataclass
class _Chain:
    """What one peer has told of the chain: checked, and taken up but for the newest records."""

    head: Epoch
    """The last record, without its encoders."""
    late: deque[tuple[EpochRecord, CertifiedRecord]] = field(default_factory=deque)
    """Those whose encoders are wanted, the oldest first; bounded by how many."""


class EpochFollower:
    """Pulls the records this node lacks and, where it has a store, serves what others lack.

    A peer can withhold records or be slow, which costs time; it cannot make one up: each names the one
    before, and stands by two thirds of the stake of the epoch before.
    """

    def __init__(
        self,
        epochs: Epochs,
        host: Host,
        store: Store | None,
        persist: Callable[[EpochDecided], Awaitable[None]],
        complete: Callable[[bytes], Awaitable[None]] = _nothing_more,
        tables: int = TABLES_WANTED,
    ) -> None:
        """`persist` writes an epoch down and adds it to `epochs`; `complete` fetches from a peer what the
        newest records name beside it, and may raise StoreError; encoders are pulled of `tables` newest ones.
        """
        self._epochs = epochs
        self._host = host
        self._store = store
        self._persist = persist
        self._complete = complete
        self._tables = tables
        self._wanted = trio.Event()
        if store is not None:
            host.handle(
                RECORDS_METHOD, self._tell_records, request_bytes_max=64, response_bytes_max=ANSWER_BYTES_MAX
            )
            host.handle(
                ENCODERS_METHOD, self._tell_encoders, request_bytes_max=64, response_bytes_max=TABLE_BYTES_MAX
            )

    def look(self) -> None:
        """Look for records now: a certificate was heard of."""
        self._wanted.set()

    async def run(self) -> None:
        """Follow the chain until cancelled."""
        while True:
            for peer in self._host.peers():
                if is_validator_of_late(self._epochs, peer.public_key):
                    chain = _Chain(self._epochs.newest)
                    await pull_pages(self._host, peer.public_key, partial(self._page, chain), "epochs")
            with trio.move_on_after(IDLE_S):
                await self._wanted.wait()
            self._wanted = trio.Event()

    async def _page(self, chain: _Chain, key: bytes) -> bool:
        """Take one page of a peer's records, and at the end the encoders of the newest; whether to go on."""
        ask = encode(Ask(chain.head.number + 1))
        data = await self._host.request(
            key, RECORDS_METHOD, ask, timeout_s=15.0, response_bytes_max=ANSWER_BYTES_MAX
        )
        told = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX).records
        for one in told:
            record = checked_record(chain.head, one)
            chain.head = Epoch(chain.head.genesis, record, EncoderTable(()))
            chain.late.append((record, one))
            if len(chain.late) > self._tables:
                # Two thirds of the stake have gone on from it, whatever this peer says or leaves out.
                await self._pass_over(*chain.late.popleft())
        if told:
            return True
        while chain.late:
            await self._take(key, chain.head, *chain.late.popleft())
        await self._complete(key)
        return False

    async def _take(self, key: bytes, head: Epoch, record: EpochRecord, told: CertifiedRecord) -> None:
        """Take up an epoch with its encoders; without them where nobody needs them any more."""
        if not self._is_next(record):
            return  # agreed on here meanwhile
        try:
            table = await self._encoders(key, record)
        except RequestDenied:
            if record.epoch >= head.number - EVIDENCE_EPOCHS:
                raise
            log.info("epoch.passed_over", epoch=record.epoch, source=key.hex()[:8])
            await self._pass_over(record, told)
            return
        if self._is_next(record):
            genesis = self._epochs.genesis
            await self._persist(EpochDecided(Epoch(genesis, record, table), told.certificate))
            log.info("epoch.caught_up", epoch=record.epoch, source=key.hex()[:8])

    async def _pass_over(self, record: EpochRecord, told: CertifiedRecord) -> None:
        if self._store is not None:
            await trio.to_thread.run_sync(keep_record, self._store, told, record.epoch)
        if self._is_next(record):
            self._epochs.pass_over(Epoch(self._epochs.genesis, record, EncoderTable(())))

    def _is_next(self, record: EpochRecord) -> bool:
        return record.previous == self._epochs.newest.digest

    async def _encoders(self, key: bytes, record: EpochRecord) -> EncoderTable:
        data = await self._host.request(
            key,
            ENCODERS_METHOD,
            encode(Ask(record.epoch)),
            timeout_s=30.0,
            response_bytes_max=TABLE_BYTES_MAX,
        )
        return table_of(record, data)

    async def _tell_records(self, peer: bytes, payload: bytes) -> bytes:
        ask = decode(payload, Ask, size_bytes_max=64)
        return await trio.to_thread.run_sync(self._records_from, ask.epoch)

    def _records_from(self, epoch: int) -> bytes:
        assert self._store is not None
        page: list[CertifiedRecord] = []
        size_bytes = 64
        for row in self._store.epoch_rows(max(1, epoch), RECORDS_TOLD):
            size_bytes += len(row.record) + len(row.certificate) + 64
            if size_bytes > ANSWER_BYTES_MAX:
                break
            certificate = decode(row.certificate, EpochCertificate, size_bytes_max=RECORD_BYTES_MAX)
            page.append(CertifiedRecord(row.record, certificate))
        return encode(Answer(tuple(page)))

    async def _tell_encoders(self, peer: bytes, payload: bytes) -> bytes:
        ask = decode(payload, Ask, size_bytes_max=64)
        assert self._store is not None
        data = await trio.to_thread.run_sync(self._store.encoders_of, ask.epoch)
        if data is None:
            first = await trio.to_thread.run_sync(self._store.encoders_kept_from)
            kept = "of none" if first is None else f"from epoch {first} on"
            raise RequestRefused(f"the encoders of epoch {ask.epoch} are not here, but {kept}")
        return data
