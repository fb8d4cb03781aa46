"""Triplet losses: the positive nearer to its anchor than a negative, or than the hardest one, by a margin."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from scoring.losses.shapes import checked, checked_negatives, root, squared_distance


class Distance(Enum):
    """What the margin is a margin of: the literature has both."""

    SQUARED = "squared"
    """||a - b||^2, the form of FaceNet (Schroff et al., 2015); the default."""
    PLAIN = "plain"
    """||a - b||."""


def triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 0.2,
    form: Distance = Distance.SQUARED,
) -> Tensor:
    """Mean over triplets of L = max(0, ||f(a) - f(p)||^2 - ||f(a) - f(n)||^2 + m); rows [n, d] each.

    `Distance.PLAIN` is max(||E(a) - E(p)||_2 - ||E(a) - E(n)||_2 + margin, 0). Raises ScoringError when
    shapes disagree.
    """
    checked(anchor, positive, negative)
    near = _formed(squared_distance(anchor, positive), form)
    far = _formed(squared_distance(anchor, negative), form)
    return (near - far + margin).clamp_min(0.0).mean()


def generalized_triplet(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor | None = None,
    margin: float = 0.2,
    form: Distance = Distance.SQUARED,
) -> Tensor:
    """L = (1 / N) sum_i max(0, ||f(a_i) - f(p_i)||^2 - min_j ||f(a_i) - f(n_j)||^2 + m).

    The hardest negative counts. Rows [n, d]; the negatives of i are the positives of the other items j, or of
    those where `negatives` [n, n] is True. An anchor without a negative costs nothing. Raises ScoringError
    when shapes disagree.
    """
    checked(anchor, positive)
    apart = checked_negatives(negatives, anchor)
    near = _formed(squared_distance(anchor, positive), form)
    # Differences rather than a Gram matrix: its rounding is largest where it matters, between near rows.
    squared = (anchor[:, None] - positive[None]).square().sum(dim=2)  # [n, n]
    far = _formed(squared.masked_fill(~apart, torch.inf).amin(dim=1), form)
    return (near - far + margin).clamp_min(0.0).mean()


def _formed(squared: Tensor, form: Distance) -> Tensor:
    return squared if form is Distance.SQUARED else root(squared)
