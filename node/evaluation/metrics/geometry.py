"""Alignment and uniformity of a space on the sphere (Wang and Isola, 2020)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.estimate import RESAMPLES, Estimate, estimate_from, mean_estimate
from node.evaluation.metrics.rows import directions

UNIFORMITY_ROWS_MAX: Final = 1_024
"""All pairs are looked at: of more rows, the first so many."""
_SHARPNESS: Final = 2.0
_NEARNESS_MIN: Final = 1e-300


def alignment(first: NDArray[np.floating], second: NDArray[np.floating], seed: int = 0) -> Estimate:
    """Mean of ||x - y||^2 over pairs of unit rows that belong together, [n, d] each; 0 to 4, less is nearer.

    Pairs with a row that is not finite are left out. Raises EvaluationError where none is left.
    """
    one, other = directions(first), directions(second)
    if one.rows.shape != other.rows.shape:
        raise EvaluationError(f"{one.rows.shape} and {other.rows.shape} are no pairs: give equal shapes")
    both = one.answered & other.answered
    squares = np.square(one.rows[both].astype(np.float64) - other.rows[both]).sum(1)
    return mean_estimate(squares, seed)


def uniformity(rows: NDArray[np.floating], seed: int = 0) -> Estimate:
    """ln of the mean of exp(-2 ||x - y||^2) over pairs of different unit rows; 0 is one point, -4 at best.

    Raises EvaluationError for fewer than two rows that are finite.
    """
    units, answered = directions(rows)
    units = units[answered][:UNIFORMITY_ROWS_MAX]
    count = len(units)
    if count < 2:
        raise EvaluationError(f"{count} rows have no pair: give two or more that are finite")
    nearness = np.exp(2 * _SHARPNESS * (units @ units.T - 1).astype(np.float64))  # [n, n]
    np.fill_diagonal(nearness, 0.0)
    random = np.random.default_rng(seed)
    shares = np.full(count, 1 / count)
    # A row drawn twice is no pair of different rows.
    times = random.multinomial(count, shares, RESAMPLES).astype(np.float64)  # [r, n]
    sums = np.einsum("rn,rn->r", times @ nearness, times)
    pairs = np.square(times.sum(1)) - np.square(times).sum(1)
    value = float(np.log(nearness.sum() / (count * (count - 1))))
    some = pairs > 0  # of few rows a resample may be one row alone
    return estimate_from(value, np.log(np.maximum(sums[some] / pairs[some], _NEARNESS_MIN)))
