"""Majority similarity: an absolute gate beside the local outlier factor, which is only relative."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.distances import Pairs


def majority_similarity(pairs: Pairs, majority: int, peers: Tensor | None = None) -> Tensor:
    """The `majority`-th largest cosine of each row to its peers. Rows of B items -> [B, N] float32.

    peers [B, N] bool: whose agreement counts, everyone who is present by default. A peer that is missing
    agrees with nobody: it counts as cosine 0, so that an item which fewer than `majority` peers answered
    shows no majority at all.
    """
    count = pairs.present.shape[1]
    if count < 2:
        return torch.zeros_like(pairs.squared_norm)
    agreeing = pairs.both if peers is None else pairs.both & peers[:, None, :]
    cosine = torch.where(agreeing, pairs.product, 0.0)
    # A row is no peer of its own: -inf keeps it out of the largest.
    cosine.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    rank = min(majority, count - 1)
    return cosine.topk(rank, dim=2).values[..., -1]
