"""Local outlier factor of each encoder among its peers, item by item (Breunig et al., SIGMOD 2000)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from scoring.distances import Pairs, pairwise
from scoring.errors import ScoringError
from scoring.precision import pinned_precision

_EPSILON = 1e-10
"""Added to a mean reach distance, as scikit-learn does: k + 1 identical rows score 1, not NaN."""
_IDENTICAL = 1e-4
"""Unit vectors this close are the same answer, give or take float32: cosine 1 - 5e-9."""
_NUMBERS_PER_PAIR = 12
"""float32 numbers of working memory per pair of rows, used to size a chunk."""


@torch.no_grad()
def local_outlier_factor(
    rows: Tensor,
    valid: Tensor | None = None,
    *,
    neighbours: int,
    reach_floor: float = 0.0,
    bytes_max: int = 64 << 20,
) -> Tensor:
    """Rows [B, N, D], valid [B, N] -> factors [B, N] float32: 1 is ordinary, larger is further out.

    Equals scikit-learn's -negative_outlier_factor_ on each item's valid rows when `reach_floor` is 0.
    Missing, NaN, Inf and overflowing rows get inf and leave their peers' factors unchanged; an item with
    fewer than two valid rows scores 1. `neighbours` is cut to the valid peers there are.
    """
    if rows.ndim != 3 or (valid is not None and valid.shape != rows.shape[:2]):
        raise ScoringError(
            f"local outlier factor of rows {tuple(rows.shape)}: give rows [B, N, D] and valid [B, N] or none"
        )
    if neighbours < 1:
        raise ScoringError(f"{neighbours} neighbours: the local outlier factor needs at least 1")
    items, count, _ = rows.shape
    factors = torch.empty(items, count, device=rows.device)
    with pinned_precision(rows.device):
        for chunk in chunk_items(items, count, bytes_max):
            pairs = pairwise(rows[chunk].float(), None if valid is None else valid[chunk])
            factors[chunk] = outlier_factor_of(pairs, neighbours, reach_floor)
    return factors


def chunk_items(items: int, count: int, bytes_max: int) -> Iterator[slice]:
    """Cut `items` so that the pairs of `count` rows fit into `bytes_max`; at least one item each."""
    step = max(1, bytes_max // (4 * max(1, count * count) * _NUMBERS_PER_PAIR))
    for start in range(0, items, step):
        yield slice(start, start + step)


def outlier_factor_of(pairs: Pairs, neighbours: int, reach_floor: float) -> Tensor:
    """Distances of B items -> local outlier factors [B, N] float32, inf where the row is missing."""
    present, both = pairs.present, pairs.both
    count = present.shape[1]
    if count < 2:
        return torch.where(present, 1.0, torch.inf)
    distance = pairs.distance.masked_fill(~both, torch.inf)
    wanted = min(neighbours, count - 1)
    peers = present.sum(1, keepdim=True)  # [B, 1]
    used = (peers - 1).clamp(1, wanted)  # [B, 1] neighbours this item can offer
    near, index = torch.topk(distance, wanted, dim=2, largest=False)  # [B, N, k]
    beyond = torch.arange(wanted, device=distance.device) >= used[:, :, None]  # [B, 1, k] slots to leave out
    farthest = near.gather(2, (used - 1)[:, :, None].expand(-1, count, 1))[..., 0]  # [B, N]
    flat = index.flatten(1)
    reach = torch.maximum(near, farthest.gather(1, flat).view_as(near))
    if reach_floor > 0:
        # Without a floor, near-copies of one encoder are so dense that everyone else looks far out. Identical
        # rows say nothing about the spread: where most operators run one public model, they are not counted.
        apart = both & (pairs.distance > _IDENTICAL)
        apart = torch.where(apart.flatten(1).any(1)[:, None, None], apart, both)
        reach = torch.maximum(reach, (reach_floor * median_distance(pairs.distance, apart))[:, None, None])
    density = 1 / (reach.double().masked_fill_(beyond, 0).sum(2) / used + _EPSILON)  # [B, N]
    factor = density.gather(1, flat).view_as(near).masked_fill_(beyond, 0).sum(2) / used / density
    factor = torch.where(peers < 2, torch.ones_like(factor), factor)
    return torch.where(present, factor, torch.inf).float()


def median_distance(distance: Tensor, both: Tensor) -> Tensor:
    """Median over an item's pairs, true median of an even count too. [B, N, N] -> [B]; 0 without pairs."""
    i, j = torch.triu_indices(distance.shape[1], distance.shape[1], 1, device=distance.device)
    counted = both[:, i, j]  # [B, P]
    ordered = distance[:, i, j].masked_fill(~counted, torch.inf).sort(1).values
    pairs = counted.sum(1, keepdim=True)  # [B, 1]
    low = ordered.gather(1, ((pairs - 1) // 2).clamp_min(0))
    high = ordered.gather(1, (pairs // 2).clamp_max(ordered.shape[1] - 1))
    return torch.where(pairs > 0, (low + high) / 2, torch.zeros_like(low))[:, 0]
