"""The space published embeddings lie in: raw as they were certified, or shaped by an epoch's transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from node.epochs.history import ReadEpochs
from node.epochs.learnt_blobs import learnt_of
from node.store import Store
from protocol.epochs.learnt import STEPS_PER_UNIT, ConsensusMoments, Group, LearntError, moments_from
from protocol.epochs.record import NOTHING
from protocol.genesis import Genesis
from protocol.report import DIMENSIONS

if TYPE_CHECKING:  # torch takes a second to import: only who shapes pays for it
    from scoring.shaping import Shaping

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RAW: Final = "raw"
NEWEST: Final = "newest"


class SpaceError(Exception):
    """There is no such space here; the message says why and what to do."""


@dataclass(frozen=True)
class Transform:
    """What the moments of an epoch make of raw vectors."""

    shaping: Shaping
    uncentred: Doubles
    """[D] the mean of vectors of epochs without means: what they lie around."""

    def of(self, centred: bool) -> Shaping:
        """For vectors of an epoch whose record had means, or had none."""
        import torch

        return self.shaping if centred else replace(self.shaping, mean=torch.from_numpy(self.uncentred))


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
        import torch

        known = self._epochs.by_record(epoch)
        if known is None:
            raise SpaceError(f"the record of epoch {epoch} is not here: start the node and let it catch up")
        shaping = self._transform.of(known.record.means != NOTHING)
        placed: Vectors = shaping.apply(torch.from_numpy(raw.copy())).numpy()
        return placed


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


def transform_of(moments: ConsensusMoments) -> Transform:
    """The transform that follows from an epoch's moments. Takes about a second: an eigendecomposition."""
    return Transform(_shaping(moments), _mean(moments.uncentred))


def _shaping(moments: ConsensusMoments) -> Shaping:
    import torch

    from scoring.shaping import Shaping, no_shaping, shaping_from_moments

    group = moments.centred if moments.centred.rows else moments.uncentred
    if not group.rows:
        return no_shaping(DIMENSIONS)
    products = np.zeros((DIMENSIONS, DIMENSIONS))
    products[np.triu_indices(DIMENSIONS)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    products /= group.rows * STEPS_PER_UNIT**2
    fitted = shaping_from_moments(torch.from_numpy(_mean(group)), torch.from_numpy(products))
    return Shaping(torch.from_numpy(_mean(moments.centred)), fitted.transform)


def _mean(group: Group) -> Doubles:
    if not group.rows:
        return np.zeros(DIMENSIONS)
    return np.frombuffer(group.total, "<i8") / (group.rows * STEPS_PER_UNIT)
