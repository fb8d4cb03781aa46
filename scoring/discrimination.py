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
    mask: Tensor,
    inverse: Tensor,
    counted: Tensor,
    *,
    temperatures: tuple[float, ...],
    block_items: int,
    block_items_min: int,
) -> Tensor:
    """G = max(0, 1 - min over temperatures of InfoNCE(mask <-> inverse) / ln B). -> [N] float64 in [0, 1].

    mask, inverse: unit rows [N, I, D]; counted [N, I]. B is what the encoder itself answered of a block:
    dividing by the ln of the whole block would pay it for leaving items out. An encoder without a large
    enough block scores 0.
    """
    encoders, items = counted.shape
    loss = torch.zeros(encoders, len(temperatures), dtype=torch.float64, device=mask.device)
    rows = torch.zeros(encoders, dtype=torch.float64, device=mask.device)
    for block in blocks_of(items, block_items):
        here = counted[:, block]  # [N, b]
        answered = here.sum(1)  # [N]
        cosine = torch.bmm(mask[:, block], inverse[:, block].transpose(1, 2)).double()  # [N, b, b]
        measured = answered >= block_items_min
        scale = (
            torch.where(measured, answered, 0).double() / answered.double().clamp_min(block_items_min).log()
        )
        rows += torch.where(measured, answered, 0)
        for column, temperature in enumerate(temperatures):
            loss[:, column] += scale * _info_nce(cosine / temperature, here)
    normalised = loss / rows.clamp_min(1)[:, None]
    # A temperature is each encoder's best: a space may be narrow or wide.
    best = normalised.min(1).values
    return torch.where(rows > 0, (1 - best).clamp_min(0), 0.0)


def _info_nce(logits: Tensor, counted: Tensor) -> Tensor:
    """Mean InfoNCE of both directions over the counted items. [N, b, b], [N, b] -> [N]; 0 where none is."""
    own = logits.diagonal(dim1=1, dim2=2)  # [N, b]
    # A finite floor, not -inf: a row without any counted column would be NaN. exp(-1e9) is 0 all the same.
    floor = -1e9
    forward = logits.masked_fill(~counted[:, None, :], floor).logsumexp(2)
    backward = logits.masked_fill(~counted[:, :, None], floor).logsumexp(1)
    per_item = torch.where(counted, (forward + backward) / 2 - own, 0.0)
    return per_item.sum(1) / counted.sum(1).clamp_min(1)
