"""A figure and how far it can be trusted: percentile bootstrap over cases (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError

RESAMPLES: Final = 1_000
COVERED: Final = 0.95
_RESAMPLES_AT_ONCE: Final = 100
"""Draws held in memory together: 100 x cases integers."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with the interval that covers it in 95 % of resamples of its cases."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, float]:
        """For JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


def mean_estimate(values: NDArray[np.number | np.bool_], seed: int = 0) -> Estimate:
    """Mean over independent cases, [n] -> estimate. Raises EvaluationError without a case."""
    cases = np.asarray(values, dtype=np.float64)
    if cases.ndim != 1 or len(cases) == 0:
        raise EvaluationError(f"{cases.shape} is no list of cases: give one number a case, one at least")
    means = np.concatenate([cases[drawn].mean(1) for drawn in resampled(len(cases), seed)])
    return estimate_from(float(cases.mean()), means)


def resampled(cases: int, seed: int, resamples: int = RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """Places of cases drawn with replacement, some resamples at a time: [r, cases], all from one seed."""
    random = np.random.default_rng(seed)
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        yield random.integers(0, cases, (min(_RESAMPLES_AT_ONCE, resamples - start), cases))


def estimate_from(value: float, resampled_values: NDArray[np.float64]) -> Estimate:
    """The figure itself, and the percentiles of what it is on resamples."""
    outside = (1 - COVERED) / 2
    low, high = np.quantile(resampled_values, (outside, 1 - outside))
    return Estimate(value, float(low), float(high))
