"""What the moments of an epoch make of raw consensus vectors: needs no store: clients check it too."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from node.spectral_shaping import Doubles, Shaping, Vectors, no_shaping, shaping_from_moments
from protocol.epochs.learnt import (
    FIRST_SHAPING_PERCENT,
    STEPS_PER_UNIT,
    ConsensusMoments,
    Group,
    ShapingMoments,
)
from protocol.report import DIMENSIONS


@dataclass(frozen=True)
class Transform:
    """What the moments of an epoch make of raw vectors."""

    shaping: Shaping
    uncentred: Doubles
    """[D] the mean of vectors of epochs without means: what they lie around."""

    def of(self, centred: bool) -> Shaping:
        """For vectors of an epoch whose record had means, or had none."""
        return self.shaping if centred else replace(self.shaping, mean=self.uncentred)

    def place(self, raw: Vectors, centred: bool) -> Vectors:
        """Raw vectors [n, D], all of epochs with means or none, at unit norm; NaN without direction."""
        return self.of(centred).apply(raw)


def transform_of(moments: ConsensusMoments) -> Transform:
    """The transform that follows from an epoch's moments. Takes about a second: an eigendecomposition."""
    return Transform(_shaping(moments), _mean(moments.uncentred))


def _shaping(moments: ConsensusMoments) -> Shaping:
    group = moments.centred if moments.centred.rows else moments.uncentred
    if not group.rows:
        return no_shaping(DIMENSIONS)
    products = np.zeros((DIMENSIONS, DIMENSIONS))
    products[np.triu_indices(DIMENSIONS)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    products /= group.rows * STEPS_PER_UNIT**2
    shaping = shaping_from_moments(_mean(group), products, _power(moments))
    return Shaping(_mean(moments.centred), shaping.transform)


def _power(moments: ConsensusMoments) -> float:
    percent = moments.shaping_percent if isinstance(moments, ShapingMoments) else FIRST_SHAPING_PERCENT
    return percent / 100


def _mean(group: Group) -> Doubles:
    if not group.rows:
        return np.zeros(DIMENSIONS)
    return np.frombuffer(group.total, "<i8") / (group.rows * STEPS_PER_UNIT)
