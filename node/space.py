"""The space published embeddings lie in: raw as they were certified, or shaped by an epoch's transform."""

from __future__ import annotations

from typing import Final

from node.epochs.history import ReadEpochs
from node.epochs.learnt_blobs import learnt_of
from node.shaping import Transform, transform_of
from node.spectral_shaping import Vectors
from node.store import Store
from protocol.epochs.learnt import LearntError, moments_from
from protocol.epochs.record import NOTHING
from protocol.genesis import Genesis

RAW: Final = "raw"
NEWEST: Final = "newest"


class SpaceError(Exception):
    """There is no such space here; the message says why and what to do."""


class Space:
    """One space. Vectors of one space can be compared with each other, and with no others."""

    def __init__(self, epochs: ReadEpochs, epoch: int | None, transform: Transform | None) -> None:
        self.epoch = epoch
        """Whose record the transform follows from; None is raw."""
        self._epochs = epochs
        self._transform = transform

    @property
    def name(self) -> str:
        """As files and people call it."""
        return RAW if self.epoch is None else f"epoch {self.epoch}"

    def place(self, raw: Vectors, epoch: int) -> Vectors:
        """Certified raw vectors [n, 1024] of a round of that epoch, in this space. Raises SpaceError."""
        if self._transform is None:
            return raw
        known = self._epochs.by_record(epoch)
        if known is None:
            raise SpaceError(f"the record of epoch {epoch} is not here: start the node and let it catch up")
        return self._transform.place(raw, known.record.means != NOTHING)


def open_space(genesis: Genesis, store: Store, wanted: str = NEWEST) -> Space:
    """The space `wanted`: raw, newest, or the number of an epoch. Raises SpaceError, StoreError."""
    epochs = ReadEpochs(genesis, store)
    asked = space_number(wanted)
    if asked == RAW:
        return Space(epochs, None, None)
    number = store.newest_epoch() if asked == NEWEST else int(asked)
    epoch = epochs.by_record(number)
    if epoch is None:
        raise SpaceError(
            f"the record of epoch {number} is not here: the newest is that of epoch {store.newest_epoch()}"
        )
    try:
        moments = moments_from(learnt_of(store, epoch.record).moments)
    except LearntError as error:
        raise SpaceError(f"{error}; or take the vectors with --space {RAW}") from None
    return Space(epochs, number, transform_of(moments))


def space_number(wanted: str) -> str | int:
    """A space as people name it: RAW, NEWEST or the number of an epoch. Raises SpaceError."""
    if wanted in (RAW, NEWEST):
        return wanted
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 16):
        raise SpaceError(f"'{wanted[:40]}' is no space: say {RAW}, {NEWEST} or the number of an epoch")
    return int(wanted)
