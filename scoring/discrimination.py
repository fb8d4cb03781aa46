"""Discrimination: a mask must find its own item's inverse among other items' inverses (InfoNCE)."""

from __future__ import annotations

import torch
from torch import Tensor


def blocks_of(items: int, block_items: int) -> list[slice]:
    """Cut `items` into blocks of `block_items`; a remainder joins the last block."""
    count = max(1, items // block_items)
    ends = [block_items * block for block in range(1, count)] + [items]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


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
    for cosine in cosines:
        here = counted[:, start : start + cosine.shape[1]]  # [N, b]
        start += cosine.shape[1]
        answered = here.sum(1)  # [N]
        measured = torch.where(answered >= block_items_min, answered, 0).double()
        scale = measured / answered.double().clamp_min(block_items_min).log()
        rows += measured
        # The largest cosine is 1: shifted by it, no exponential overflows, and both directions share one.
        shifted = (cosine.double() - 1).masked_fill_(~(here[:, :, None] & here[:, None, :]), -torch.inf)
        for column, temperature in enumerate(temperatures):
            loss[:, column] += scale * _info_nce(shifted / temperature, here)
    normalised = loss / rows.clamp_min(1)[:, None]
    # A temperature is each encoder's best: a space may be narrow or wide.
    best = normalised.min(1).values
    return torch.where(rows > 0, (1 - best).clamp_min(0), 0.0)


def _info_nce(logits: Tensor, counted: Tensor) -> Tensor:
    """Mean InfoNCE of both directions over the counted items. [N, b, b], [N, b] -> [N]; 0 where none is."""
    own = logits.diagonal(dim1=1, dim2=2).clone()  # [N, b]
    likely = logits.exp_()
    per_item = (likely.sum(2).log() + likely.sum(1).log()) / 2 - own
    return torch.where(counted, per_item, 0.0).sum(1) / counted.sum(1).clamp_min(1)
