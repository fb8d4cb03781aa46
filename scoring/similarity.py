"""Majority similarity: an absolute gate beside the local outlier factor, which is only relative."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from scoring.distances import Pairs


def majority_similarity(pairs: Pairs, majority: int | Tensor, peers: Tensor | None = None) -> Tensor:
    """The `majority`-th largest cosine of each row to its peers. Rows of B items -> [B, N] float32.

    majority: one number, or one for each item [B]. peers [B, N] bool: whose agreement counts, everyone who
    is present by default. A peer that is missing agrees with nobody: it counts as cosine 0, so that an item
    which fewer than `majority` peers answered shows no majority at all.
    """
    cosine = _cosines(pairs)
    return _kth_cosine(cosine if peers is None else cosine * peers[:, None, :], majority)


def _cosines(pairs: Pairs) -> Tensor:
    """Cosines of B items' rows [B, N, N], 0 where either is missing."""
    return torch.where(pairs.both, pairs.product, 0.0)


def _kth_cosine(cosine: Tensor, majority: int | Tensor) -> Tensor:
    """The `majority`-th largest cosine of each row to other rows; the diagonal is overwritten. -> [B, N]."""
    count = cosine.shape[1]
    if count < 2:
        return torch.zeros_like(cosine[:, :, 0])
    # A row is no peer of its own: -inf keeps it out of the largest.
    cosine.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
    if isinstance(majority, int):
        return cosine.topk(min(max(majority, 1), count - 1), dim=2).values[..., -1]
    wanted = majority.clamp(1, count - 1)
    largest = cosine.topk(int(wanted.max()), dim=2).values
    return largest.gather(2, (wanted - 1)[:, None, None].expand(-1, count, 1))[..., 0]


def similarity_in_two_looks(
    pairs: Pairs, minority: int, peers: Tensor, least: Sequence[float], few: int
) -> Tensor:
    """Majority similarity of answers that are themselves in doubt. Rows of B items -> [T, B, N] float32.

    A wrong answer is no evidence against a right one. In the first look an answer must agree with `minority`
    of the peers [B, N], which the honest can spare; those that reach `least`, of which there may be T, are
    the peers of the second look, and half of them must agree. -1 where they are fewer than `few`.
    """
    cosine = _cosines(pairs)
    first = _kth_cosine(cosine * peers[:, None, :], minority)
    bounds = torch.tensor(least, dtype=first.dtype, device=first.device)
    sound = pairs.present & peers & (first >= bounds[:, None, None])  # [T, B, N]
    passed = sound.sum(2)
    among = cosine * sound[:, :, None, :]  # [T, B, N, N]
    second = _kth_cosine(among.flatten(0, 1), passed.flatten() // 2).view(sound.shape)
    return torch.where((passed >= few)[..., None], second, -1.0)
