"""Following the chain of epochs: records are pulled from any validator and believed by their certificates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import structlog
import trio

from node.network.errors import RequestRefused
from node.network.host import Host
from node.paging import pull_pages
from node.store import Store
from protocol.codec import Natural, Record, decode, encode
from protocol.epochs.agreed import CertifiedRecord, checked_record
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
"""A node without a store needs the encoders of the newest epochs only."""

log = structlog.get_logger(__name__)


class Ask(Record, frozen=True):
    """Records from this epoch on; or the encoders of it."""

    epoch: Natural


class Answer(Record, frozen=True):
    """Records in order, without a gap, as far as they fit."""

    records: Annotated[tuple[CertifiedRecord, ...], msgspec.Meta(max_length=RECORDS_TOLD)]


async def _nothing_more(_: bytes) -> None:
    """Who does not score needs the records alone."""


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
    ) -> None:
        """`persist` writes an epoch down and adds it to `epochs`; `complete` fetches from a peer what the
        newest records name beside it, and may raise StoreError.
        """
        self._epochs = epochs
        self._host = host
        self._store = store
        self._persist = persist
        self._complete = complete
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
                if peer.public_key in self._epochs.genesis.validators:
                    await pull_pages(self._host, peer.public_key, self._page, "epochs")
            with trio.move_on_after(IDLE_S):
                await self._wanted.wait()
            self._wanted = trio.Event()

    async def _page(self, key: bytes) -> bool:
        """Take one page of a peer's records; whether there may be more."""
        first = self._epochs.newest.number + 1
        data = await self._host.request(
            key, RECORDS_METHOD, encode(Ask(first)), timeout_s=15.0, response_bytes_max=ANSWER_BYTES_MAX
        )
        told = decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX).records
        for index, one in enumerate(told):
            members = self._epochs.newest
            if members.number + 1 > first + index:
                continue  # agreed on here meanwhile
            record = checked_record(members, one)
            if self._store is None and index < len(told) - TABLES_WANTED:
                self._epochs.pass_over(Epoch(members.genesis, record, EncoderTable(())))
                continue
            table = await self._encoders(key, record)
            if self._epochs.newest is members:
                await self._persist(EpochDecided(Epoch(members.genesis, record, table), one.certificate))
                log.info("epoch.caught_up", epoch=record.epoch, source=key.hex()[:8])
        if len(told) == RECORDS_TOLD:
            return True
        await self._complete(key)
        return False

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
            raise RequestRefused(f"the encoders of epoch {ask.epoch} are not here")
        return data
