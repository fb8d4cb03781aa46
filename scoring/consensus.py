"""Consensus embedding of each item: the weighted mean of its valid, centred answers."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers
from scoring.memory import chunk_items


def consensus(full: Answers, weight: Tensor, valid: Tensor) -> Tensor:
    """c = sum w x / sum w over the item's valid encoders. -> [I, D] float32, NaN where there is none.

    full: the full views, centred by the epoch's means; weight [N]; valid [N, I]. Not normalised: its norm
    says how far the encoders agree, and certificates bind it as it is.
    """
    share = torch.where(valid, weight.double()[:, None], 0.0)  # [N, I]
    present = share.sum(0)  # [I]
    share = torch.where(present > 0, share / present, torch.nan).float()
    some = weight.nonzero()[:, 0]
    total = torch.full(full.raw.shape[1:], torch.nan, device=weight.device)
    if not len(some):
        return total
    if compiled.serves(total):
        full.mix(share.nan_to_num(0.0), total)
        return total.masked_fill_((present <= 0)[:, None], torch.nan)
    for items in chunk_items(full.raw, len(some)):
        mixed = share[some][:, items].T[:, None]  # [b, 1, n]
        total[items] = torch.bmm(mixed, full.rows(items, some))[:, 0]  # [b, 1, n] @ [b, n, D]
    return total
