"""Discrimination: a mask must find its own item's inverse among other items' inverses (InfoNCE)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled.fragments import info_nce
from scoring.compiled.rows import products


def blocks_of(items: int, block_items: int) -> list[slice]:
    """Cut `items` into blocks of `block_items`; a remainder joins the last block."""
    count = max(1, items // block_items)
    ends = [block_items * block for block in range(1, count)] + [items]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def block_cosines(mask: Tensor, inverse: Tensor, out: Tensor) -> None:
    """Cosines of every mask of a block with every inverse: unit rows [..., b, D] each -> out [..., b, b].

    On the CPU [b, D] -> [b, b], contiguous.
    """
    if compiled.serves(out):
        products(mask.numpy(), inverse.numpy(), out.numpy())
    else:
        torch.matmul(mask, inverse.mT, out=out)


def discrimination(
    cosines: list[Tensor], counted: Tensor, *, temperatures: tuple[float, ...], block_items_min: int
) -> Tensor:
    """G = max(0, 1 - min over temperatures of InfoNCE(mask <-> inverse) / ln B). -> [N] float64 in [0, 1].

    cosines: for each of `blocks_of` the items, that of every mask with every inverse [N, b, b]; counted
    [N, I]. B is what the encoder itself answered of a block: dividing by the ln of the whole block would pay
    it for leaving items out. An encoder without a large enough block scores 0.
    """
    encoders = len(counted)
    loss = torch.zeros(encoders, len(temperatures), dtype=torch.float64, device=counted.device)
    rows = torch.zeros(encoders, dtype=torch.float64, device=counted.device)
    start = 0
    for cosine in cosines if compiled.serves(counted) else _stacked(cosines):  # [N, b, b] or [N, B, b, b]
        blocks, size = math.prod(cosine.shape[1:-2]), cosine.shape[-1]
        here = counted[:, start : start + blocks * size].reshape(-1, blocks, size)  # [N, B, b]
        start += blocks * size
        answered = here.sum(2)  # [N, B]
        measured = torch.where(answered >= block_items_min, answered, 0).double()
        scale = measured / answered.double().clamp_min(block_items_min).log()
        rows += measured.sum(1)
        each = _info_nce(cosine.reshape(-1, size, size), here.flatten(0, 1), temperatures)
        loss += (scale[..., None] * each.view(*scale.shape, -1)).sum(1)
    normalised = loss / rows.clamp_min(1)[:, None]
    # A temperature is each encoder's best: a space may be narrow or wide.
    best = normalised.min(1).values
    return torch.where(rows > 0, (1 - best).clamp_min(0), 0.0)


def _stacked(cosines: list[Tensor]) -> Iterator[Tensor]:
    """Neighbouring blocks of one size as one tensor: [N, b, b] each -> [N, B, b, b]."""
    for _, run in groupby(cosines, key=lambda cosine: cosine.shape[-1]):
        yield torch.stack(list(run), 1)


def _info_nce(cosine: Tensor, counted: Tensor, temperatures: tuple[float, ...]) -> Tensor:
    """Mean InfoNCE of both directions over counted items, 0 where none is. [n, b, b], [n, b] -> [n, T]."""
    if compiled.serves(cosine):
        loss = torch.empty(len(cosine), len(temperatures), dtype=torch.float64)
        arrays = (np.asarray(temperatures, np.float64), loss.numpy())
        info_nce(cosine.contiguous().numpy(), counted.contiguous().numpy(), *arrays)
        return loss
    # The largest cosine is 1: shifted by it, no exponential overflows, and both directions share one.
    shifted = (cosine.double() - 1).masked_fill_(~(counted[:, :, None] & counted[:, None, :]), -torch.inf)
    scales = torch.tensor(temperatures, dtype=torch.float64, device=cosine.device)
    scaled = shifted / scales[:, None, None, None]  # [T, n, b, b]
    own = scaled.diagonal(dim1=2, dim2=3)  # [T, n, b]
    likely = scaled.exp()
    per_item = (likely.sum(3).log() + likely.sum(2).log()) / 2 - own
    total = torch.where(counted, per_item, 0.0).sum(2)  # [T, n]
    return (total / counted.sum(1).clamp_min(1)).T
