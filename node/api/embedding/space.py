"""The space answers are given in, ready before it is needed: the newest epoch's transform, kept in memory."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
import numpy.typing as npt

from node.epochs.history import ReadEpochs
from node.epochs.learnt_blobs import learnt_of
from node.space import SpaceError
from node.store import Store
from protocol.epochs.learnt import STEPS_PER_UNIT, ConsensusMoments, Group, LearntError, moments_from
from protocol.epochs.record import NOTHING
from protocol.report import DIMENSIONS

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# Those of `scoring.shaping`, whose result a test compares with ours.
_POWER: Final = 0.25
_RIDGE: Final = 0.01
_SHORT: Final = 1e-12


class PublishedSpace:
    """Published embeddings hat((c - mean) T) of one epoch, as `scoring.shaping`, in numpy.

    torch would cost the node's process a second of its loop and hundreds of megabytes.
    """

    def __init__(self, epoch: int, moments: ConsensusMoments, epochs: ReadEpochs) -> None:
        """Takes about a second, without the interpreter's lock: an eigendecomposition."""
        self.epoch = epoch
        self._epochs = epochs
        self._means = {True: _mean(moments.centred), False: _mean(moments.uncentred)}
        self._matrix = _transform(moments)  # [D, D]; None is the identity

    @property
    def name(self) -> str:
        """As files and people call it."""
        return f"epoch {self.epoch}"

    def place(self, raw: Vectors, epoch: int) -> Vectors:
        """Raw vectors [n, 1024] of a round of that epoch, at unit norm; without a direction NaN.

        Raises SpaceError where the record of the epoch is not here.
        """
        known = self._epochs.by_record(epoch)
        if known is None:
            raise SpaceError(f"the record of epoch {epoch} is not here: let the node catch up")
        moved: Doubles = raw.astype(np.float64) - self._means[known.record.means != NOTHING]
        if self._matrix is not None:
            moved = moved @ self._matrix  # [n, D] @ [D, D]
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        good = np.isfinite(norms) & (norms > _SHORT)
        return np.where(good, moved / np.where(good, norms, 1.0), np.nan).astype(np.float32)


class NewestSpace:
    """The space of the newest epoch. Thread-safe; who asks first after an epoch began waits for it."""

    def __init__(self, epochs: ReadEpochs, store: Store) -> None:
        self._epochs = epochs
        self._store = store
        self._lock = threading.Lock()
        self._found: PublishedSpace | None = None

    def get(self) -> PublishedSpace:
        """Takes about a second once an epoch. Raises SpaceError, StoreError."""
        number = self._store.newest_epoch()
        found = self._found
        if found is not None and found.epoch == number:
            return found
        with self._lock:
            if self._found is None or self._found.epoch != number:
                self._found = self._made(number)
            return self._found

    def _made(self, number: int) -> PublishedSpace:
        epoch = self._epochs.by_record(number)
        if epoch is None:
            raise SpaceError(f"the record of epoch {number} is not here: let the node catch up")
        try:
            moments = moments_from(learnt_of(self._store, epoch.record).moments)
        except LearntError as error:
            raise SpaceError(str(error)) from None
        return PublishedSpace(number, moments, self._epochs)


def _transform(moments: ConsensusMoments) -> Doubles | None:
    group = moments.centred if moments.centred.rows else moments.uncentred
    if not group.rows:
        return None
    products = np.zeros((DIMENSIONS, DIMENSIONS))
    products[np.triu_indices(DIMENSIONS)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    products /= group.rows * STEPS_PER_UNIT**2
    mean = _mean(group)
    eigenvalues, vectors = np.linalg.eigh(products - np.outer(mean, mean))  # [D] ascending, [D, D]
    spread = np.maximum(eigenvalues, 0.0)
    ridge = _RIDGE * spread.mean()
    if not ridge > np.finfo(np.float64).eps * np.trace(products):
        return None
    factor = (1 + spread / ridge) ** -_POWER
    transform: Doubles = (vectors * factor) @ vectors.T
    return (transform + transform.T) / 2


def _mean(group: Group) -> Doubles:
    if not group.rows:
        return np.zeros(DIMENSIONS)
    return np.frombuffer(group.total, "<i8") / (group.rows * STEPS_PER_UNIT)
