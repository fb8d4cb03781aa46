"""Rows and labels as every metric takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError

_NORM_MIN: Final = 1e-9
ROUNDING: Final = 1e-6
"""Cosines of float32 rows nearer than this are a tie."""


class Directions(NamedTuple):
    """Rows of which only the direction counts."""

    rows: NDArray[np.float32]
    """[n, d] at unit norm; zeros where there is none."""
    answered: NDArray[np.bool_]
    """[n]: finite, and longer than nothing."""


def directions(rows: NDArray[np.floating], what: str = "rows") -> Directions:
    """Unit rows of any finite rows [n, d]; who answered no numbers is marked. Raises EvaluationError."""
    given = np.asarray(rows, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] == 0:
        raise EvaluationError(f"{what} of shape {given.shape}: give one row a view, (n, d)")
    known = np.asarray(np.isfinite(given).all(1))
    sane = np.where(known[:, None], given, 0.0)
    norms = np.linalg.norm(sane, axis=1)
    answered = known & (norms > _NORM_MIN) & np.isfinite(norms)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=answered)
    return Directions((sane * scale[:, None]).astype(np.float32), answered)


def classes(labels: Sequence[Any] | NDArray[Any], rows: int) -> NDArray[np.int64]:
    """Labels of any kind as class numbers [rows], equal where the labels are. Raises EvaluationError."""
    given = np.asarray(labels)
    if given.shape != (rows,):
        raise EvaluationError(f"{rows} rows and labels of shape {given.shape}: give one label a row")
    return np.asarray(np.unique(given, return_inverse=True)[1], dtype=np.int64)
