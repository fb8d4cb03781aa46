"""Small algebra of unit vectors shared by the terms."""

from __future__ import annotations

import torch
from torch import Tensor

_NORM_MIN = 1e-6
_SQUARE_MIN = 1e-6
"""Below these, the rest of a unit float32 vector is rounding: dividing by it would make noise look sure."""


def unit(rows: Tensor) -> Tensor:
    """Rows [..., D] at unit norm; zero rows stay zero."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / norms.clamp_min(_NORM_MIN)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Row by row inner products. [..., D] x [..., D] -> [...]."""
    return (a * b).sum(-1)


def dot_items(rows: Tensor, targets: Tensor) -> Tensor:
    """Inner products of every encoder's row with its item's target. [B, N, D] x [B, D] -> [B, N]."""
    return torch.bmm(rows, targets[:, :, None])[:, :, 0]  # [B, N, D] @ [B, D, 1]


def without(rows: Tensor, axis: Tensor) -> Tensor:
    """Unit rows less their part along unit `axis`, at unit norm. [..., D] x [..., D] -> [..., D]."""
    return unit(rows - dot(rows, axis)[..., None] * axis)


def rest_norm(cosine: Tensor) -> Tensor:
    """Norm of what is left of a unit vector whose cosine with the axis taken out is given."""
    return (1 - cosine.square()).clamp_min(_SQUARE_MIN).sqrt()


def mean_over(values: Tensor, counted: Tensor, otherwise: float) -> Tensor:
    """Mean over the counted entries of each row in float64; `otherwise` where none is. [N, I] -> [N]."""
    count = counted.sum(-1)
    total = torch.where(counted, values.double(), 0.0).sum(-1)
    return torch.where(count > 0, total / count.clamp_min(1), otherwise)


def quantile_over(values: Tensor, counted: Tensor, quantile: float, otherwise: float) -> Tensor:
    """The counted entry of each row that at least this share of them does not exceed. [N, I] -> [N] float64.

    `otherwise` where none is counted. An entry itself, not a mean of two: the smallest for 0, the lower
    median for .5.
    """
    count = counted.sum(-1)
    order = torch.where(counted, values.double(), torch.inf).sort(-1).values
    place = ((count * quantile).ceil().long() - 1).clamp_min(0)
    return torch.where(count > 0, order.gather(-1, place[:, None])[:, 0], otherwise)
