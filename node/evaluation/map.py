"""A 2-D map of a space: the two directions in which the items differ most (PCA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.evaluation.metrics.rows import directions


@dataclass(frozen=True, slots=True)
class Map:
    """Where items lie."""

    places: tuple[tuple[float, float], ...]
    """[n] of the items; the origin for one without numbers."""
    shares: tuple[float, float]
    """Of the variance, along each axis."""


def map_of(rows: NDArray[np.floating]) -> Map:
    """The first two principal components of unit rows [n, d]; of each the largest place is positive."""
    units, answered = directions(rows)
    mean = units[answered].mean(0, dtype=np.float64) if answered.any() else 0.0
    centred = np.where(answered[:, None], units - mean, 0.0)
    left, strengths, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(units), 2))
    shares = np.zeros(2)
    # Of one point, or one dimension, there are fewer directions than two.
    kept = min(2, int((strengths > 1e-6 * max(1.0, float(strengths[0]))).sum()))
    places[:, :kept] = left[:, :kept] * strengths[:kept]
    places *= np.where(places[np.abs(places).argmax(0), [0, 1]] < 0, -1.0, 1.0)
    shares[:kept] = np.square(strengths[:kept]) / np.square(strengths).sum()
    rounded = places.round(4) + 0.0
    return Map(tuple((float(x), float(y)) for x, y in rounded), (float(shares[0]), float(shares[1])))
