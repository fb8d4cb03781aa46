"""Differential loss: how well an encoder's parts recompose its whole."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled.rows import literal_losses, recompose
from scoring.memory import strided
from scoring.projection import dot, mean_over, unit

_CHANCE = 1.0
"""The own residual equals the residual to other items' parts: nothing composes."""
_RESIDUAL_MIN = 1e-6


def differential(full: Tensor, mask: Tensor, inverse: Tensor, share: Tensor, counted: Tensor) -> Tensor:
    """R = mean of ||f_i - r_i||^2 / mean_{j != i} ||f_j - r_i||^2, r = hat(s m + (1-s) v). -> float64.

    One encoder's unit rows full, mask, inverse [I, D]; share s [I] of the mask in its item; counted [I]. 0
    composes perfectly, 1 is chance. Dividing by the residual to other items lets no collapsed space pass.
    """
    count = counted.sum()
    total = counted.to(full.dtype) @ full  # [D]: the residuals to all items at once, as |f_j| = |r_i| = 1
    if compiled.serves(full):
        own, across = torch.empty(len(full)), torch.empty(len(full))
        tensors = (full, mask, inverse, share.to(full.dtype), total, own, across)
        recompose(*(x.contiguous().numpy() for x in tensors))
    else:
        whole = unit(torch.lerp(inverse, mask, share[:, None].to(mask.dtype)))  # r
        own, across = dot(full, whole), torch.mv(whole, total)
    residual = (2 - 2 * own.double()).clamp_min(0)  # [I]
    others = (2 * count - 2 * across.double() - residual) / (count - 1).clamp_min(1)
    return mean_over(residual / others.clamp_min(_RESIDUAL_MIN), counted & (count > 1), _CHANCE)


def differential_literal(full: Tensor, mask: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    """Mean of ||full - mask - inverse|| over items and masks, on answers as they came. -> [N] float64.

    full [N, I, D]; mask, inverse [N, I, K, D]; counted [N, I]. 0 where nothing is counted.
    """
    masks = mask.shape[2]
    loss = torch.zeros(counted.shape, dtype=torch.float64, device=full.device)
    if compiled.serves(full) and masks:
        whole, part, other = strided(full), strided(mask), strided(inverse)
        literal_losses(
            whole.numbers,
            whole.steps,
            part.numbers,
            part.steps,
            other.numbers,
            other.steps,
            masks,
            full.shape[2],
            loss.numpy(),
        )
        return mean_over(loss, counted, 0.0)
    for k in range(masks):
        residual = full - mask[:, :, k] - inverse[:, :, k]  # [N, I, D]
        loss += torch.linalg.vector_norm(residual, dim=2).double() / masks
    return mean_over(loss, counted, 0.0)
