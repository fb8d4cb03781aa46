"""The consensus of rows that are centred already."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(rows: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean over the encoders: rows [N, I, D], weight [N] with a positive sum -> [I, D] float32."""
    share = (weight.double() / weight.double().sum()).float()
    return torch.einsum("n,nid->id", share, rows)
