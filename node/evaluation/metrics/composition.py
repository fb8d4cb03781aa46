"""How well a model's parts recompose its whole: the differential loss, literal and as the rule has it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics.estimate import Estimate, mean_estimate
from node.evaluation.metrics.parts import Parts
from node.evaluation.metrics.rows import directions

_CHANCE: Final = 1.0
_RESIDUAL_MIN: Final = 1e-6


def differential_loss(parts: Parts, seed: int = 0) -> Estimate:
    """Mean of ||f - m - v|| over items answered, on answers as they came. Raises EvaluationError for none.

    Says nothing alone: zeros reach 0. The rule's form is `recomposition`.
    """
    residual = np.asarray(parts.full, np.float64) - parts.mask - parts.inverse  # [n, d]
    known = np.isfinite(residual).all(1)
    if not known.any():
        raise EvaluationError("the model answered no item with numbers: try `deltamesh models check MODEL`")
    return mean_estimate(np.linalg.norm(residual[known], axis=1), seed)


def recomposition(parts: Parts, seed: int = 0) -> Estimate:
    """R = mean of ||f_i - r_i||^2 / mean_{j != i} ||f_j - r_i||^2, r = hat(s m + (1-s) v), rows centred.

    0 composes perfectly, 1 is chance; `scoring.differential` has the same for a shard. An item that was not
    answered counts 1.
    """
    return mean_estimate(residual_ratios(parts), seed)


def residual_ratios(parts: Parts) -> NDArray[np.float64]:
    """The ratio of each item, [n]; 1 where it was not answered."""
    centred = parts.centred()
    share = np.asarray(parts.share, np.float64)[:, None]
    whole = directions(share * centred.mask + (1 - share) * centred.inverse).rows  # r, [n, d]
    counted = centred.counted
    ratios = np.full(len(counted), _CHANCE)
    count = int(counted.sum())
    if count < 2:
        return ratios
    full, whole = centred.full[counted].astype(np.float64), whole[counted].astype(np.float64)
    own = np.maximum(2 - 2 * (full * whole).sum(1), 0.0)  # unit rows: ||f - r||^2
    across = 2 * count - 2 * (whole @ full.sum(0))
    others = (across - own) / (count - 1)
    ratios[counted] = own / np.maximum(others, _RESIDUAL_MIN)
    return ratios
