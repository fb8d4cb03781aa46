"""What the moments of an epoch make of raw consensus vectors: needs no store, clients check it too.

`scoring.shaping` in numpy, from recorded moments instead of vectors; a test holds the two together. torch
would cost whoever reads, a node's process among them, seconds and hundreds of megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from protocol.epochs.learnt import STEPS_PER_UNIT, ConsensusMoments, Group
from protocol.report import DIMENSIONS

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

# Those of `scoring.shaping`.
_POWER: Final = 0.25
_RIDGE: Final = 0.01
_NORM_MIN: Final = 1e-12


@dataclass(frozen=True)
class Transform:
    """Published embeddings hat((c - mean) T) of one epoch."""

    mean: Doubles
    """[D] of vectors of epochs whose record had means."""
    uncentred: Doubles
    """[D] of vectors of epochs without means: what they lie around."""
    matrix: Doubles | None
    """T [D, D], symmetric; None is the identity."""

    def place(self, raw: Vectors, centred: bool) -> Vectors:
        """Raw vectors [n, D], all of epochs with means or none, at unit norm; NaN without direction."""
        moved: Doubles = raw.astype(np.float64) - (self.mean if centred else self.uncentred)
        if self.matrix is not None:
            moved = moved @ self.matrix  # [n, D] @ [D, D]
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        known = np.isfinite(norms) & (norms > _NORM_MIN)
        return np.where(known, moved / np.where(known, norms, 1.0), np.nan).astype(np.float32)


def transform_of(moments: ConsensusMoments) -> Transform:
    """The transform that follows from an epoch's moments. Takes about a second: an eigendecomposition."""
    return Transform(_mean(moments.centred), _mean(moments.uncentred), _matrix(moments))


def _matrix(moments: ConsensusMoments) -> Doubles | None:
    group = moments.centred if moments.centred.rows else moments.uncentred
    if not group.rows:
        return None
    products = np.zeros((DIMENSIONS, DIMENSIONS))
    products[np.triu_indices(DIMENSIONS)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    products /= group.rows * STEPS_PER_UNIT**2
    mean = _mean(group)
    eigenvalues, vectors = np.linalg.eigh(products - np.outer(mean, mean))  # [D] ascending, [D, D]
    spread = np.maximum(eigenvalues, 0.0)  # rounding leaves some below zero
    ridge = _RIDGE * spread.mean()
    if not ridge > np.finfo(np.float64).eps * np.trace(products):
        return None
    factor = (1 + spread / ridge) ** -_POWER
    matrix: Doubles = (vectors * factor) @ vectors.T
    return (matrix + matrix.T) / 2


def _mean(group: Group) -> Doubles:
    if not group.rows:
        return np.zeros(DIMENSIONS)
    return np.frombuffer(group.total, "<i8") / (group.rows * STEPS_PER_UNIT)
