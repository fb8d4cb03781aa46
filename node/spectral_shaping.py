"""An epoch's shaping transform in numpy: as `scoring.shaping`, which tests compare it with.

torch would cost a validator's process a second of its loop, while it is imported, and hundreds of megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_RIDGE: Final = 0.01
_NORM_MIN: Final = 1e-12


@dataclass(frozen=True)
class Shaping:
    """Published embeddings hat((c - mean) T)."""

    mean: Doubles
    """[D]"""
    transform: Doubles
    """T [D, D], symmetric."""

    def apply(self, consensus: Vectors) -> Vectors:
        """Raw consensus [I, D] -> [I, D] at unit norm; a row without a direction is NaN."""
        with np.errstate(invalid="ignore", over="ignore"):  # rows that are not finite
            shaped: Doubles = (consensus.astype(np.float64) - self.mean) @ self.transform  # [I, D] @ [D, D]
            norms = np.linalg.norm(shaped, axis=1, keepdims=True)
        known = np.isfinite(norms) & (norms > _NORM_MIN)
        return np.where(known, shaped / np.where(known, norms, 1.0), np.nan).astype(np.float32)


def no_shaping(dimension: int) -> Shaping:
    """The transform of epoch 0, which has no past: mean zero and the identity."""
    return Shaping(np.zeros(dimension), np.eye(dimension))


def shaping_from_moments(mean: Doubles, products: Doubles, power: float) -> Shaping:
    """From the mean [D] and the mean outer product [D, D] of the vectors, eigenvalues turned down by a power.

    Takes about a second, in which the interpreter's lock is free.
    """
    eigenvalues, vectors = np.linalg.eigh(products - np.outer(mean, mean))  # [D] ascending, [D, D]
    spread = np.maximum(eigenvalues, 0.0)  # rounding leaves some below zero
    ridge = _RIDGE * spread.mean()
    if not ridge > np.finfo(np.float64).eps * np.trace(products):
        return Shaping(mean, np.eye(len(mean)))
    factor = (1 + spread / ridge) ** -power
    transform: Doubles = (vectors * factor) @ vectors.T  # [D, D] @ [D, D]
    return Shaping(mean, (transform + transform.T) / 2)
