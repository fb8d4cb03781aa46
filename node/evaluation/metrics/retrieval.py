"""Retrieval: a query must find its own row of a gallery among all the others, by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.estimate import Estimate, mean_estimate
from node.evaluation.metrics.rows import ROUNDING, directions

_QUERIES_AT_ONCE: Final = 1_024


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Of all queries."""

    mean_reciprocal_rank: Estimate
    recall_1: Estimate
    """Share of the queries whose own row comes first."""
    recall_10: Estimate


def retrieval(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    own: NDArray[np.integer] | None = None,
    seed: int = 0,
) -> Retrieval:
    """MRR = mean of 1 / rank, recall@k = share of ranks <= k. Arguments and errors as `ranks`."""
    found = ranks(queries, gallery, own)
    return Retrieval(
        mean_estimate(1 / found, seed), mean_estimate(found <= 1, seed), mean_estimate(found <= 10, seed)
    )


def ranks(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], own: NDArray[np.integer] | None = None
) -> NDArray[np.int64]:
    """Rank from 1 of each query's own row among all rows of the gallery, [Q, d] and [G, d] -> [Q].

    own [Q] says which row is whose; without it the n-th query's is the n-th row. A tie counts against the
    embedding, and a row that is not finite finds nothing and is not found: its rank is G. Raises
    EvaluationError.
    """
    asked, known = directions(queries, "queries"), directions(gallery, "a gallery")
    if asked.rows.shape[1] != known.rows.shape[1]:
        raise EvaluationError(f"queries {asked.rows.shape} and gallery {known.rows.shape}: give equal d")
    places = np.arange(len(asked.rows)) if own is None else np.asarray(own, dtype=np.int64)
    size = len(known.rows)
    if len(places) != len(asked.rows) or not ((places >= 0) & (places < size)).all():
        raise EvaluationError(
            f"{len(asked.rows)} queries, a gallery of {size}: say of each query which row is its own"
        )
    found = np.full(len(places), size, dtype=np.int64)
    for start in range(0, len(places), _QUERIES_AT_ONCE):
        some = slice(start, start + _QUERIES_AT_ONCE)
        cosine = asked.rows[some] @ known.rows.T  # [q, d] @ [d, G]
        cosine[:, ~known.answered] = -np.inf
        target = np.take_along_axis(cosine, places[some, None], 1)
        found[some] = (cosine >= target - ROUNDING).sum(1)  # itself included: 1 where no other is as near
    answered = asked.answered & known.answered[places]
    return np.where(answered, found, size)
