"""Nearest neighbours: the class of a probe as its k nearest rows of a gallery have it, by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.estimate import Estimate, mean_estimate
from node.evaluation.metrics.rows import classes, directions

_PROBES_AT_ONCE: Final = 1_024


def neighbour_accuracy(
    gallery: NDArray[np.floating],
    gallery_labels: Sequence[Any] | NDArray[Any],
    probes: NDArray[np.floating],
    probe_labels: Sequence[Any] | NDArray[Any],
    k: int = 1,
    seed: int = 0,
) -> Estimate:
    """Share of the probes that their k nearest gallery rows name rightly. As `neighbour_hits`."""
    return mean_estimate(neighbour_hits(gallery, gallery_labels, probes, probe_labels, k), seed)


def neighbour_hits(
    gallery: NDArray[np.floating],
    gallery_labels: Sequence[Any] | NDArray[Any],
    probes: NDArray[np.floating],
    probe_labels: Sequence[Any] | NDArray[Any],
    k: int = 1,
) -> NDArray[np.bool_]:
    """Whether most of the k nearest gallery rows are of the probe's class, [G, d] and [P, d] -> [P].

    Among classes with equally many the one with the nearest row wins. A probe that is not finite is a miss, a
    gallery row that is not finite is nobody's neighbour. Raises EvaluationError.
    """
    both = classes([*gallery_labels, *probe_labels], len(gallery) + len(probes))
    known, wanted = both[: len(gallery)], both[len(gallery) :]
    answered = directions(probes, "probes").answered
    near = nearest_neighbours(gallery, probes, k)  # [P, k]
    voted = np.where(near >= 0, known[near], -1)
    count = (voted[:, :, None] == voted[:, None, :]).sum(2)  # [P, k]: votes of each neighbour's class
    # argmax takes the first of equals, and neighbours come nearest first.
    winner = np.take_along_axis(voted, np.where(voted >= 0, count, -1).argmax(1)[:, None], 1)[:, 0]
    hits: NDArray[np.bool_] = answered & (winner == wanted)
    return hits


def nearest_neighbours(
    gallery: NDArray[np.floating], probes: NDArray[np.floating], k: int
) -> NDArray[np.int64]:
    """Places of the k nearest gallery rows of each probe, nearest first, [P, k]; -1 where there are fewer.

    Of equally near rows the first counts as nearer. Raises EvaluationError.
    """
    known, asked = directions(gallery, "a gallery"), directions(probes, "probes")
    if known.rows.shape[1] != asked.rows.shape[1] or not 1 <= k <= len(known.rows):
        raise EvaluationError(
            f"{k} neighbours of probes {asked.rows.shape} in a gallery {known.rows.shape}: give equal d, and "
            "ask for no more neighbours than the gallery has"
        )
    found = np.empty((len(asked.rows), k), dtype=np.int64)
    for start in range(0, len(found), _PROBES_AT_ONCE):
        some = slice(start, start + _PROBES_AT_ONCE)
        cosine = asked.rows[some] @ known.rows.T  # [p, d] @ [d, G]
        cosine[:, ~known.answered] = -np.inf
        order = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
        found[some] = np.where(np.isfinite(np.take_along_axis(cosine, order, 1)), order, -1)
    return found
