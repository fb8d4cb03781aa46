"""Clustering: k-means finds as many clusters as there are classes; how far the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.estimate import RESAMPLES, Estimate, estimate_from
from node.evaluation.metrics.rows import classes, directions

STARTS: Final = 5
"""Seeds k-means is started from; figures are means over them."""


@dataclass(frozen=True, slots=True)
class Clustering:
    """Agreement of clusters and classes."""

    normalised_mutual_information: Estimate
    """Arithmetic mean of the entropies below the line; 1 is agreement."""
    adjusted_rand_index: Estimate
    """Hubert and Arabie, 1985; 0 is chance, 1 agreement."""


def clustering(
    rows: NDArray[np.floating],
    labels: Sequence[Any] | NDArray[Any],
    seed: int = 0,
    starts: int = STARTS,
) -> Clustering:
    """K-means (Lloyd, k-means++) on unit rows [n, d], k = number of classes. Raises EvaluationError.

    Intervals are over items: tables of class and cluster drawn from the one of each start, less the bias of
    such draws. Rows that are not finite are one place, zero.
    """
    from sklearn.cluster import KMeans

    units, _ = directions(rows)
    kind = classes(labels, len(units))
    count = int(kind.max()) + 1 if len(kind) else 0
    if count < 2 or count >= len(kind):
        raise EvaluationError(
            f"{len(kind)} rows of {count} classes cannot be clustered: give two classes or more, and more "
            "rows than classes"
        )
    wanted = min(count, len(np.unique(units.round(6), axis=0)))  # k-means warns where it finds fewer places
    random = np.random.default_rng(seed)
    values, draws = [], []
    for start in range(starts):
        found = KMeans(wanted, n_init=1, random_state=seed + start).fit_predict(units)
        table = np.zeros((count, count))
        np.add.at(table, (kind, found), 1)
        values.append(_agreement(table[None])[0])
        shares = table.ravel() / len(kind)
        drawn = random.multinomial(len(kind), shares, -(-RESAMPLES // starts)).astype(np.float64)
        draws.append(_agreement(drawn.reshape(-1, count, count)))
    value = np.mean(values, axis=0)  # [2]
    resamples = np.concatenate(draws)  # [r, 2]
    # A table drawn from a table shows agreement by chance that the first does not have.
    bias = np.concatenate([one - of for one, of in zip(draws, values, strict=True)]).mean(0)
    mutual, rand = (
        estimate_from(float(value[i]), np.clip(resamples[:, i] - bias[i], -1.0, 1.0)) for i in (0, 1)
    )
    return Clustering(mutual, rand)


def _agreement(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """NMI and ARI of tables of class by cluster, [r, C, K] -> [r, 2]."""
    total = tables.sum((1, 2))
    rows, columns = tables.sum(2), tables.sum(1)
    entropies = _entropy(rows) + _entropy(columns)
    mutual = entropies - _entropy(tables.reshape(len(tables), -1))
    normalised = np.divide(2 * mutual, entropies, out=np.ones_like(mutual), where=entropies > 0)
    together, in_class, in_cluster = (
        (counts * (counts - 1) / 2).reshape(len(tables), -1).sum(1) for counts in (tables, rows, columns)
    )
    chance = in_class * in_cluster / (total * (total - 1) / 2)
    room = (in_class + in_cluster) / 2 - chance
    adjusted = np.divide(together - chance, room, out=np.ones_like(room), where=room != 0)
    return np.stack([normalised, adjusted], axis=1)


def _entropy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """In nats, of counts [r, n] -> [r]."""
    shares = counts / counts.sum(1, keepdims=True)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(1))
