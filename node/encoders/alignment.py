"""Bringing an encoder's own space into the shared one: the reference's lift, and maps fitted on anchors."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import DIMENSIONS, made_answers

LIFT_DOMAIN: Final = b"deltamesh shared space lift 1"
RIDGE_STRENGTH: Final = 2.0
"""Ridge penalty of hashed n-grams, in units of the mean eigenvalue of the source's covariance.

Chosen over 12 batches of text the anchors do not hold. Less of it whitens: hashed n-grams then outscore
wordllama-64 in a third of the batches (at 0.3). More leaves them so far from their peers that LOF gates them
(1.58 on average at 2, 1.61 at 4; the gate closes from 1.5 to 2).
"""
MINILM_RIDGE_STRENGTH: Final = 0.3
"""Ridge penalty of minilm, in the same units.

Chosen over 48 networks of 3 to 10 wordllamas and n-grams, up to half as many cheaters, and one minilm. A
rotation scores as well, but leaves it so far from its peers that a gate is partly shut in every other network
(12 of 24; here 2). A penalty of 2 costs a tenth of its score (0.33 against 0.37), 0.1 wins nothing.
"""


class Alignment(Enum):
    """How a map is fitted."""

    PROCRUSTES = "procrustes"
    """Rotation only: keeps the source's own geometry, and with it its own quality (Schoenemann, 1966)."""
    RIDGE = "ridge"
    """Regularised least squares: for spaces so unlike the reference that no rotation brings them near."""


@dataclass(frozen=True, slots=True)
class AffineMap:
    """answers = unit((native - source_mean) @ matrix + target_mean)."""

    source_mean: NDArray[np.float32]  # [d]
    matrix: NDArray[np.float32]  # [d, DIMENSIONS]
    target_mean: NDArray[np.float32]  # [DIMENSIONS]

    def apply(
        self, native: NDArray[np.float32], into: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """[n, d] -> [n, DIMENSIONS] at unit norm; written to `into` where it is given."""
        rows = np.matmul(native - self.source_mean, self.matrix, out=into, dtype=np.float32)
        rows += self.target_mean
        return made_answers(rows)


@cache
def lift(dimensions: int) -> NDArray[np.float32]:
    """The fixed orthonormal map of a reference's space into the shared one: [dimensions, DIMENSIONS].

    The same on every machine to float32 precision: the entries come from blake3's output bits, uniform so
    that no transcendental function is involved; QR runs in float64, the signs of R's diagonal fixed.
    """
    if not 1 <= dimensions <= DIMENSIONS:
        raise ValueError(f"a reference has 1 to {DIMENSIONS} dimensions, not {dimensions}")
    seed = LIFT_DOMAIN + dimensions.to_bytes(2, "little")
    bits = np.frombuffer(blake3(seed).digest(length=4 * DIMENSIONS * dimensions), dtype="<u4")
    entries = (bits.astype(np.float64) + 0.5) / 2.0**32 - 0.5
    basis, triangle = np.linalg.qr(entries.reshape(DIMENSIONS, dimensions))  # [DIMENSIONS, d], [d, d]
    basis *= np.sign(np.diagonal(triangle))
    return np.ascontiguousarray(basis.T, dtype=np.float32)


def fit(
    source: NDArray[np.float32],
    target: NDArray[np.float32],
    how: Alignment,
    *,
    ridge_strength: float = RIDGE_STRENGTH,
) -> AffineMap:
    """Fit the map that takes source rows [n, d] to target rows [n, DIMENSIONS], both centred first.

    `ridge_strength` is the penalty in units of the mean eigenvalue of the source's covariance.
    """
    if len(source) != len(target) or len(source) < 2:
        raise ValueError(f"alignment needs two or more pairs, not {len(source)} rows against {len(target)}")
    source_mean = source.mean(axis=0, dtype=np.float64)
    target_mean = target.mean(axis=0, dtype=np.float64)
    x, y = source - source_mean, target - target_mean  # [n, d], [n, DIMENSIONS], float64
    matrix = _rotation(x, y) if how is Alignment.PROCRUSTES else _ridge(x, y, ridge_strength)
    return AffineMap(
        source_mean.astype(np.float32), matrix.astype(np.float32), target_mean.astype(np.float32)
    )


def _rotation(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """argmin ||x M - y|| over partial isometries M: rows orthonormal, or columns where x has more of them."""
    left, strengths, right = np.linalg.svd(x.T @ y, full_matrices=False)
    # Directions the pairs say nothing about are dropped: each machine's SVD would fill them in its own way.
    known = strengths > 1e-9 * strengths[0]
    rotation: NDArray[np.float64] = left[:, known] @ right[known]
    return rotation


def _ridge(x: NDArray[np.float64], y: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    covariance = x.T @ x  # [d, d]
    penalty = strength * np.trace(covariance) / len(covariance)
    covariance[np.diag_indices_from(covariance)] += penalty
    return np.asarray(np.linalg.solve(covariance, x.T @ y), dtype=np.float64)
