"""Differential loss: how well an encoder's parts recompose its whole."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.projection import dot, mean_over, unit

_CHANCE = 1.0
"""The own residual equals the residual to other items' parts: nothing composes."""
_RESIDUAL_MIN = 1e-6


def differential(full: Tensor, mask: Tensor, inverse: Tensor, share: Tensor, counted: Tensor) -> Tensor:
    """R = mean of ||f_i - r_i||^2 / mean_{j != i} ||f_j - r_i||^2, r = hat(s m + (1-s) v). -> [N] float64.

    full, mask, inverse: unit rows [N, I, D]; share s [I] of the mask in its item; counted [N, I]. 0 composes
    perfectly, 1 is chance. Dividing by the residual to other items lets no collapsed space pass.
    """
    whole = unit(torch.lerp(inverse, mask, share[:, None].to(mask.dtype)))  # r, [N, I, D]
    count = counted.sum(1)  # [N]
    full = torch.where(counted[:, :, None], full, 0.0) if not bool(counted.all()) else full
    total = full.sum(1)  # [N, D]: the residuals to all items at once, |f_j| = |r_i| = 1
    own = (2 - 2 * dot(full, whole).double()).clamp_min(0)  # [N, I]
    to_all = 2 * count[:, None] - 2 * torch.bmm(whole, total[:, :, None])[..., 0].double()
    others = (to_all - own) / (count - 1).clamp_min(1)[:, None]
    return mean_over(own / others.clamp_min(_RESIDUAL_MIN), counted & (count > 1)[:, None], _CHANCE)


def differential_literal(full: Tensor, mask: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    """Mean of ||full - mask - inverse|| over items and masks, on answers as they came. -> [N] float64.

    full [N, I, D]; mask, inverse [N, I, K, D]; counted [N, I]. 0 where nothing is counted.
    """
    masks = mask.shape[2]
    loss = torch.zeros(counted.shape, dtype=torch.float64, device=full.device)
    for k in range(masks):
        residual = torch.linalg.vector_norm(full - mask[:, :, k] - inverse[:, :, k], dim=2)
        loss += residual.double() / masks
    return mean_over(loss, counted, 0.0)
