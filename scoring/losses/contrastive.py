"""Contrastive loss: positive pairs together, negative pairs at least a margin apart."""

from __future__ import annotations

from torch import Tensor

from scoring.errors import ScoringError
from scoring.losses.shapes import checked, root, squared_distance


def contrastive(first: Tensor, second: Tensor, is_positive: Tensor, margin: float = 1.0) -> Tensor:
    """Mean over pairs of L = y D^2 + (1 - y) max(0, m - D)^2.

    D = ||f(x_1) - f(x_2)||, rows [n, d] each; y is `is_positive` [n]: 1 for pairs that belong together;
    m is the margin, "the minimum distance required for negative pairs". Hadsell, Chopra and LeCun (2006),
    without their factor of a half. Raises ScoringError when shapes disagree.
    """
    checked(first, second)
    if is_positive.shape != (len(first),):
        raise ScoringError(
            f"{len(first)} pairs and {list(is_positive.shape)} marks of positives: give one for each pair"
        )
    squared = squared_distance(first, second)
    positive = is_positive.to(squared.dtype)
    short = (margin - root(squared)).clamp_min(0.0)
    return (positive * squared + (1 - positive) * short.square()).mean()
