"""Consensus embedding of each item: the weighted mean of its valid, centred answers."""

from __future__ import annotations

import torch
from torch import Tensor


def consensus(full: Tensor, weight: Tensor, valid: Tensor) -> Tensor:
    """c = sum w x / sum w over the item's valid encoders. -> [I, D] float32, NaN where there is none.

    full: unit answers less the epoch's means, at unit norm, [N, I, D]; weight [N]; valid [N, I]. Not
    normalised: its norm says how far the encoders agree, and certificates bind it as it is.
    """
    _, items, dimension = full.shape
    total = torch.zeros(items, dimension, dtype=torch.float64, device=full.device)
    share = torch.where(valid, weight.double()[:, None], 0.0)  # [N, I]
    for encoder in weight.nonzero()[
        :, 0
    ].tolist():  # one at a time: a float64 copy of all answers would be large
        total += share[encoder][:, None] * full[encoder].double()
    present = share.sum(0)  # [I]
    return torch.where((present > 0)[:, None], total / present[:, None], torch.nan).float()
