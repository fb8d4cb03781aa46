"""The chain of epochs as a client follows it: from the genesis it trusts, each record by the quorum before.

Of every record its digest is kept, the records themselves only of the newest epochs: an older one is fetched
again and needs no votes, since its digest is known.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from node.certified import Check, VerificationFailed
from protocol.codec import CodecError, decode
from protocol.epochs.agreed import CertifiedRecord, EpochCertificateError, checked_record
from protocol.epochs.record import RECORD_BYTES_MAX, EncoderTable, EpochRecord, RecordError
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis

EPOCHS_MAX: Final = 1 << 16
"""As in a report's file; seven years of epochs of an hour."""
EPOCHS_KEPT: Final = 16
"""Epochs asked for last whose records are kept."""
TOLD_BYTES_MAX: Final = 2 * RECORD_BYTES_MAX


class Chain:
    """What is known of a network's epochs. May be used from any thread."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self._newest = Epoch.first(genesis)
        self._digests: list[bytes] = [self._newest.digest]
        self._held: OrderedDict[int, Epoch] = OrderedDict({0: self._newest})
        self._lock = threading.Lock()

    @property
    def newest(self) -> Epoch:
        """The last epoch followed."""
        return self._newest

    @property
    def digests(self) -> tuple[bytes, ...]:
        """Digests of all records followed, that of epoch 0 first."""
        with self._lock:
            return tuple(self._digests)

    def find(self, number: int) -> Epoch | None:
        """An epoch whose record is held, without its encoders."""
        with self._lock:
            if number in self._held:
                self._held.move_to_end(number)
            return self._held.get(number)

    def check_reach(self, number: int) -> None:
        """Raises VerificationFailed for an epoch that no chain here is followed to."""
        if not 0 <= number <= EPOCHS_MAX:
            raise VerificationFailed(
                Check.EPOCH, f"epoch {number} is beyond the {EPOCHS_MAX} that are followed"
            )

    def follow(self, number: int, data: bytes) -> None:
        """Take up the CertifiedRecord of epoch `number`, unless it is known already.

        Raises VerificationFailed where it does not follow the newest, or does not stand by its validators.
        """
        with self._lock:
            # Another flow of this client may have followed it while this one waited for its bytes.
            if number <= self._newest.number:
                return
            try:
                told = decode(data, CertifiedRecord, size_bytes_max=TOLD_BYTES_MAX)
                record = checked_record(self._newest, told)
                epoch = Epoch(self.genesis, record, EncoderTable(()))
            except (CodecError, RecordError, EpochCertificateError) as error:
                raise VerificationFailed(Check.EPOCH, f"the record of epoch {number}: {error}") from error
            self._newest = epoch
            self._digests.append(epoch.digest)
            self._hold(epoch)

    def recall(self, number: int, data: bytes) -> Epoch:
        """An older epoch from its CertifiedRecord, by the digest that is known. Raises VerificationFailed."""
        try:
            told = decode(data, CertifiedRecord, size_bytes_max=TOLD_BYTES_MAX)
            epoch = epoch_from(self.genesis, told.record)
        except (CodecError, RecordError) as error:
            raise VerificationFailed(Check.EPOCH, f"the record of epoch {number}: {error}") from error
        with self._lock:
            if number >= len(self._digests) or epoch.digest != self._digests[number]:
                raise VerificationFailed(Check.EPOCH, f"this is not the record of epoch {number}")
            self._hold(epoch)
        return epoch

    def resume(self, digests: tuple[bytes, ...], newest: Epoch) -> None:
        """Go on from what was followed before and kept. Raises ValueError where it does not fit together."""
        with self._lock:
            if digests[:1] != (self._digests[0],) or len(digests) != newest.number + 1:
                raise ValueError("it is of another network, or has gaps")
            if digests[-1] != newest.digest or (newest.number and newest.record.previous != digests[-2]):
                raise ValueError("its newest record is another than it names")
            if newest.number > self._newest.number:
                self._digests = list(digests)
                self._newest = newest
                self._hold(newest)

    def _hold(self, epoch: Epoch) -> None:
        self._held[epoch.number] = epoch
        while len(self._held) > EPOCHS_KEPT:
            self._held.popitem(last=False)


def epoch_from(genesis: Genesis, record: bytes) -> Epoch:
    """The epoch of canonical record bytes, not yet checked by votes. Raises CodecError, RecordError."""
    return Epoch(genesis, decode(record, EpochRecord, size_bytes_max=RECORD_BYTES_MAX), EncoderTable(()))
