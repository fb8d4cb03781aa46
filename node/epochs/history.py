"""The chain of epochs on disk."""

from __future__ import annotations

from node.store import EpochRow, Store, StoreError
from protocol.codec import CodecError, decode, encode
from protocol.epochs.agreed import CertifiedRecord, EpochCertificateError, check_epoch_certificate
from protocol.epochs.known import Epochs
from protocol.epochs.record import (
    NOTHING,
    RECORD_BYTES_MAX,
    EncoderTable,
    EpochRecord,
    RecordError,
    record_digest,
    table_of,
)
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.messages import EpochCertificate

CHECKED_AT_START = 256
"""Newest certificates whose votes are checked when the store is opened: 1.8 s of CPU with 67 votes each.

A damaged one that is older harms nobody: whoever pulls it checks it, and asks another peer.
"""


def open_epochs(genesis: Genesis, store: Store | None) -> Epochs:
    """The epochs a store holds; those of a fresh network where it holds none. Raises StoreError.

    Takes long where many validators voted: it checks the newest certificates.
    """
    if store is None:
        return Epochs(genesis)

    def load(number: int) -> Epoch | None:
        return _load(genesis, store, number)

    epochs = Epochs(genesis, load)
    newest = load(store.newest_epoch())
    if newest is not None:
        _check_chain(genesis, store, newest.number)
        epochs.resume(newest)
    return epochs


class ReadEpochs(Epochs):
    """The epochs of a store that another process writes: looked up anew when a later one is asked for."""

    def __init__(self, genesis: Genesis, store: Store) -> None:
        super().__init__(genesis, lambda number: _load(genesis, store, number))
        self._store = store

    def find(self, number: int) -> Epoch | None:
        """An epoch by its number. Raises StoreError."""
        if number > self.newest.number:
            newest = _load(self.genesis, self._store, self._store.newest_epoch())
            if newest is not None:
                self.resume(newest)
        return super().find(number)

    def by_record(self, number: int) -> Epoch | None:
        """An epoch, without its encoders where they are kept no longer. Raises StoreError."""
        found = self.find(number)
        rows = [] if found is not None else self._store.epoch_rows(number, 1)
        if found is not None or not rows or rows[0].epoch != number:
            return found
        try:
            return Epoch(self.genesis, _read(self.genesis, rows[0])[0], EncoderTable(()))
        except (CodecError, RecordError) as error:
            raise _damaged(number, error) from None


def keep_epoch(store: Store, epoch: Epoch, certificate: EpochCertificate) -> None:
    """Write an epoch down. Raises StoreError."""
    row = EpochRow(epoch.number, encode(epoch.record), encode(certificate))
    store.put_epoch(row, encode(epoch.table))


def keep_record(store: Store, told: CertifiedRecord, epoch: int) -> None:
    """Write an epoch down by its record alone. Raises StoreError."""
    store.put_epoch(EpochRow(epoch, told.record, encode(told.certificate)))


def chain_to(store: Store, epoch: int) -> tuple[list[CertifiedRecord], bytes, bytes]:
    """The records up to an epoch, each with its certificate, the epoch's encoders and their means.

    Raises StoreError.
    """
    chain = [
        CertifiedRecord(
            row.record, decode(row.certificate, EpochCertificate, size_bytes_max=RECORD_BYTES_MAX)
        )
        for row in store.epoch_rows(1, epoch)
    ]
    if len(chain) != epoch:
        raise StoreError(f"the record of epoch {epoch} is not held here: let the node catch up")
    encoders = store.encoders_of(epoch) if epoch else b""
    if encoders is None:
        raise StoreError(no_encoders(store, epoch))
    return chain, encoders, _means(store, chain[-1].record) if chain else b""


def _means(store: Store, data: bytes) -> bytes:
    record = decode(data, EpochRecord, size_bytes_max=RECORD_BYTES_MAX)
    means = store.blobs.get(record.means) if record.means != NOTHING else b""
    if means is None:
        raise StoreError(
            f"the encoders' means of epoch {record.epoch} are not held here: the epoch is too old, or the "
            "node has not caught up with it"
        )
    return means


def no_encoders(store: Store, epoch: int) -> str:
    """What to say where an epoch's encoders are asked for and no longer kept. Raises StoreError."""
    return (
        f"the encoders of epoch {epoch} are kept here no longer, only those from epoch "
        f"{store.encoders_kept_from()} on: ask a validator that keeps more (retention_epochs)"
    )


def lacks_encoders(epoch: Epoch) -> bool:
    """Whether an epoch is known by its record alone."""
    return len(encode(epoch.table)) != epoch.record.encoders_bytes


def _check_chain(genesis: Genesis, store: Store, newest: int) -> None:
    """Check that each of the newest records follows the one before, and stands by its validators."""
    first = max(1, newest - CHECKED_AT_START + 1)
    members = Epoch.first(genesis)
    for row in store.epoch_rows(first - 1, CHECKED_AT_START + 1):
        try:
            record, certificate = _read(genesis, row)
            if row.epoch >= first:
                if record.previous != members.digest:
                    raise RecordError("it does not follow the record before")
                check_epoch_certificate(members, certificate)
            members = Epoch(genesis, record, EncoderTable(()))
        except (CodecError, RecordError, EpochCertificateError) as error:
            raise _damaged(row.epoch, error) from None


def _load(genesis: Genesis, store: Store, number: int) -> Epoch | None:
    rows = store.epoch_rows(number, 1) if number > 0 else []
    encoders = store.encoders_of(number)
    if not rows or rows[0].epoch != number or encoders is None:
        return None
    try:
        record, _ = _read(genesis, rows[0])
        return Epoch(genesis, record, table_of(record, encoders))
    except (CodecError, RecordError) as error:
        raise _damaged(number, error) from None


def _read(genesis: Genesis, row: EpochRow) -> tuple[EpochRecord, EpochCertificate]:
    record = decode(row.record, EpochRecord, size_bytes_max=RECORD_BYTES_MAX)
    certificate = decode(row.certificate, EpochCertificate, size_bytes_max=RECORD_BYTES_MAX)
    if certificate.record != record_digest(genesis.network_id, record):
        raise RecordError("its certificate is for another record")
    return record, certificate


def _damaged(number: int, error: Exception) -> StoreError:
    return StoreError(
        f"the record of epoch {number} in the store is damaged ({error}): move the store away and start "
        "the node again, it catches up from its peers"
    )
