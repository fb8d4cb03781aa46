"""Triplets: whether an anchor lies nearer to a positive than to a negative, over all triplets there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.estimate import Estimate, mean_estimate
from node.evaluation.metrics.rows import ROUNDING, classes, directions


def triplet_accuracy(
    rows: NDArray[np.floating], labels: Sequence[Any] | NDArray[Any], seed: int = 0
) -> Estimate:
    """Mean over anchors of `triplet_shares`; .5 is chance."""
    return mean_estimate(triplet_shares(rows, labels), seed)


def triplet_shares(rows: NDArray[np.floating], labels: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
    """Of each anchor the share of (positive, negative) with cos(a, p) > cos(a, n), [n, d] -> [anchors].

    Positives are the other rows of the anchor's class, negatives those of other classes; a row alone in its
    class is no anchor. A tie counts against the embedding, as does a row that is not finite. All triplets
    count, none is drawn: that is the area under the anchor's ROC curve, without the half for ties. Raises
    EvaluationError where there is no triplet.
    """
    units, answered = directions(rows)
    kind = classes(labels, len(units))
    counts = np.bincount(kind)
    anchors = np.flatnonzero((counts[kind] > 1) & (counts[kind] < len(kind)))
    if len(anchors) == 0:
        raise EvaluationError(
            f"{len(units)} rows of {len(counts)} classes hold no triplet: give two classes or more, and two "
            "rows of one"
        )
    shares = np.zeros(len(anchors))
    for place, anchor in enumerate(anchors):
        if not answered[anchor]:
            continue
        cosine = units @ units[anchor]  # [n]
        alike = kind == kind[anchor]
        # Whoever answered nothing must not win: as a positive the farthest, as a negative the nearest.
        negatives = np.sort(np.where(answered, cosine, np.inf)[~alike])
        alike[anchor] = False
        positives = np.where(answered, cosine, -np.inf)[alike]
        beaten = np.searchsorted(negatives, positives - ROUNDING, side="left")
        shares[place] = beaten.mean() / len(negatives)
    return shares
