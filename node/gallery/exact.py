"""Exact search: the cosine with every vector, in blocks, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

BLOCK_ROWS: Final = 8_192
"""32 MiB of vectors at a time: few enough to be interrupted between them."""
MARGIN: Final = 1e-5
"""What rounding may cost a float32 cosine of 1024 terms: whoever lies so near the k-th is looked at again."""
DECIMALS: Final = 6
"""To which cosines are told. Those that agree are ordered by item id."""
COSINE_MAX: Final = 1.001

Ids = Callable[[npt.NDArray[np.int64]], Sequence[bytes]]
"""Item ids at some places."""


class DamagedVectorsError(ValueError):
    """Vectors that should be of unit norm are not: the file they lie in is damaged."""


def nearest(
    vectors: npt.NDArray[np.float32],
    probe: npt.NDArray[np.float32],
    k: int,
    allowed: npt.NDArray[np.bool_],
    ids: Ids,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Places and cosines of the k allowed vectors nearest to the probe, best first, ties by item id.

    Vectors [n, D] and probe [D] are of unit norm. Raises DamagedVectorsError where a cosine is none.
    """
    scores = cosines(vectors, probe)
    scores[~allowed] = -np.inf
    k = min(k, int(allowed.sum()))
    if k == 0:
        return np.zeros(0, np.int64), np.zeros(0)
    worst = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= worst - MARGIN)
    return ranked(vectors, probe, k, candidates, ids)


def cosines(vectors: npt.NDArray[np.float32], probe: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """[n, D] @ [D] -> [n], float32. Raises DamagedVectorsError."""
    scores = np.empty(len(vectors), np.float32)
    # One thread: a search is bound by memory, and others want the processor.
    with _threads().limit(limits=1), np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(vectors), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            np.matmul(vectors[block], probe, out=scores[block])
    # NaN fails the comparison too.
    if not bool((np.abs(scores) <= COSINE_MAX).all()):
        raise DamagedVectorsError("a vector is not of unit norm")
    return scores


def ranked(
    vectors: npt.NDArray[np.float32],
    probe: npt.NDArray[np.float32],
    k: int,
    candidates: npt.NDArray[np.int64],
    ids: Ids,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The best k of some places by cosines in float64, equal ones by item id."""
    scores = np.empty(len(candidates))
    for start in range(0, len(candidates), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        # Row by row, so that equal vectors score equally wherever they lie.
        scores[block] = (vectors[candidates[block]].astype(np.float64) * probe).sum(axis=1)
    scores = np.round(scores, DECIMALS)
    worst = np.partition(scores, len(scores) - k)[len(scores) - k]
    inside = np.flatnonzero(scores >= worst)
    names = ids(candidates[inside])
    order = sorted(range(len(inside)), key=lambda place: (-scores[inside[place]], names[place]))[:k]
    chosen = inside[order]
    return candidates[chosen], scores[chosen]


@cache
def _threads() -> ThreadpoolController:
    """Finding numpy's libraries takes longer than a search of a thousand vectors: once a process."""
    return ThreadpoolController()
