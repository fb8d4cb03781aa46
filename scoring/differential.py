"""Differential loss: how well an encoder's parts recompose its whole."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled import first_look as kernels
from scoring.compiled.fragments import recompose, total_of
from scoring.memory import chunk_encoders, strided
from scoring.projection import dot, mean_over, unit

_CHANCE = 1.0
"""The own residual equals the residual to other items' parts: nothing composes."""
_RESIDUAL_MIN = 1e-6


def differential(own: Tensor, across: Tensor, counted: Tensor) -> Tensor:
    """R = mean of ||f_i - r_i||^2 / mean_{j != i} ||f_j - r_i||^2. [N, I] each -> [N] float64.

    own, across: from `recomposed`, an encoder a row; counted [N, I]. 0 composes perfectly, 1 is chance.
    Dividing by the residual to other items lets no collapsed space pass.
    """
    count = counted.sum(1, keepdim=True)  # [N, 1]
    residual = (2 - 2 * own.double()).clamp_min(0)  # [N, I]
    others = (2 * count - 2 * across.double() - residual) / (count - 1).clamp_min(1)
    return mean_over(residual / others.clamp_min(_RESIDUAL_MIN), counted & (count > 1), _CHANCE)


def recomposed(
    full: Tensor, mask: Tensor, inverse: Tensor, share: Tensor, counted: Tensor
) -> tuple[Tensor, Tensor]:
    """An encoder's f_i . r_i and sum over counted j of f_j . r_i, r = hat(s m + (1-s) v). -> [..., I] each.

    full, mask, inverse: unit rows [..., I, D], of one encoder on the CPU; share s [I] of the mask in its
    item; counted [..., I]. As |f_j| = |r_i| = 1, the products say all residuals at once.
    """
    if compiled.serves(full):
        own, across, total = torch.empty(len(full)), torch.empty(len(full)), torch.empty(full.shape[1])
        total_of(full.contiguous().numpy(), counted.contiguous().numpy(), total.numpy())
        tensors = (full, mask, inverse, share.to(full.dtype), total, own, across)
        recompose(*(x.contiguous().numpy() for x in tensors))
        return own, across
    whole = unit(torch.lerp(inverse, mask, share[:, None].to(mask.dtype)))  # r
    everything = counted[..., None, :].to(full.dtype) @ full  # [..., 1, I] @ [..., I, D]
    return dot(full, whole), (whole @ everything.mT)[..., 0]  # [..., I, D] @ [..., D, 1]


def literal_losses(full: Tensor, mask: Tensor, inverse: Tensor) -> Tensor:
    """Mean of ||full - mask - inverse|| over masks, on answers as they came. -> [N, I] float64, 0 without.

    full [N, I, D]; mask, inverse [N, I, K, D].
    """
    masks = mask.shape[2]
    loss = torch.zeros(full.shape[:2], dtype=torch.float64, device=full.device)
    if compiled.serves(full) and masks:
        sources = strided(full[:, :, None]), strided(mask), strided(inverse)
        kernels.literal_losses(*sources, masks, full.shape[2], loss.numpy())
        return loss
    for some in chunk_encoders(full):
        for k in range(masks):
            residual = torch.sub(full[some], mask[some, :, k]).sub_(inverse[some, :, k])  # [n, I, D]
            loss[some] += torch.linalg.vector_norm(residual, dim=2).double() / masks
            del residual  # or the next is made beside it
    return loss


def differential_literal(full: Tensor, mask: Tensor, inverse: Tensor, counted: Tensor) -> Tensor:
    """Mean of the literal losses over the counted items [N, I]. -> [N] float64, 0 where none is."""
    return mean_over(literal_losses(full, mask, inverse), counted, 0.0)
