"""What the moments of an epoch make of raw consensus vectors: needs no store: clients check it too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from protocol.epochs.learnt import STEPS_PER_UNIT, ConsensusMoments, Group
from protocol.report import DIMENSIONS

if TYPE_CHECKING:  # torch takes a second to import: only who shapes pays for it
    from scoring.shaping import Shaping

Vectors = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Transform:
    """What the moments of an epoch make of raw vectors."""

    shaping: Shaping
    uncentred: Doubles
    """[D] the mean of vectors of epochs without means: what they lie around."""

    def of(self, centred: bool) -> Shaping:
        """For vectors of an epoch whose record had means, or had none."""
        import torch

        return self.shaping if centred else replace(self.shaping, mean=torch.from_numpy(self.uncentred))

    def place(self, raw: Vectors, centred: bool) -> Vectors:
        """Raw vectors [n, D], all of epochs with means or none, at unit norm; NaN without direction."""
        import torch

        placed: Vectors = self.of(centred).apply(torch.from_numpy(raw.copy())).numpy()
        return placed


def transform_of(moments: ConsensusMoments) -> Transform:
    """The transform that follows from an epoch's moments. Takes about a second: an eigendecomposition."""
    return Transform(_shaping(moments), _mean(moments.uncentred))


def _shaping(moments: ConsensusMoments) -> Shaping:
    import torch

    from scoring.shaping import Shaping, no_shaping, shaping_from_moments

    group = moments.centred if moments.centred.rows else moments.uncentred
    if not group.rows:
        return no_shaping(DIMENSIONS)
    products = np.zeros((DIMENSIONS, DIMENSIONS))
    products[np.triu_indices(DIMENSIONS)] = np.frombuffer(moments.products, "<i8")
    products += np.triu(products, 1).T
    products /= group.rows * STEPS_PER_UNIT**2
    fitted = shaping_from_moments(torch.from_numpy(_mean(group)), torch.from_numpy(products))
    return Shaping(torch.from_numpy(_mean(moments.centred)), fitted.transform)


def _mean(group: Group) -> Doubles:
    if not group.rows:
        return np.zeros(DIMENSIONS)
    return np.frombuffer(group.total, "<i8") / (group.rows * STEPS_PER_UNIT)
