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
    count = counted.sum(1)  # [N]
    shares = share[:, None].to(mask.dtype)
    own, to_all = [], []
    for f, m, v, here in zip(full, mask, inverse, counted, strict=True):  # each [I, D]
        whole = unit(torch.lerp(v, m, shares))  # r
        total = (f * here[:, None]).sum(0)  # [D]: the residuals to all items at once, as |f_j| = |r_i| = 1
        own.append(2 - 2 * dot(f, whole).double())
        to_all.append(2 * here.sum() - 2 * torch.mv(whole, total).double())
    residual = torch.stack(own).clamp_min(0)  # [N, I]
    others = (torch.stack(to_all) - residual) / (count - 1).clamp_min(1)[:, None]
    return mean_over(residual / others.clamp_min(_RESIDUAL_MIN), counted & (count > 1)[:, None], _CHANCE)


def differential_literal(full: Tensor, mask: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    """Mean of ||full - mask - inverse|| over items and masks, on answers as they came. -> [N] float64.

    full [N, I, D]; mask, inverse [N, I, K, D]; counted [N, I]. 0 where nothing is counted.
    """
    masks = mask.shape[2]
    loss = torch.zeros(counted.shape, dtype=torch.float64, device=full.device)
    for n in range(len(full)):  # one encoder at a time, so that the differences stay in the cache
        for k in range(masks):
            residual = (full[n] - mask[n, :, k]).sub_(inverse[n, :, k])  # [I, D]
            loss[n] += torch.linalg.vector_norm(residual, dim=1).double() / masks
    return mean_over(loss, counted, 0.0)
