"""Distillation: towards what others, here the network's consensus, make of the same items."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cosine_similarity

from scoring.losses.shapes import checked


def distillation(rows: Tensor, targets: Tensor) -> Tensor:
    """Mean over items of 1 - cos(f(x), c(x)); rows and targets [n, d]; targets need not be of unit norm.

    Raises ScoringError when shapes disagree.
    """
    checked(rows, targets)
    return (1.0 - cosine_similarity(rows, targets, dim=1)).mean()
