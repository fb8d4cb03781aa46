"""Local outlier factor of each encoder among its peers, item by item (Breunig et al., SIGMOD 2000)."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled.pairs import copy_present, outlier_factors
from scoring.compiled.rows import squared_distances
from scoring.distances import NORM_MAX, Pairs, pairwise
from scoring.errors import ScoringError
from scoring.median import sorting_network
from scoring.memory import CHUNK_NUMBERS, PAIR_NUMBERS, slices_of, strided
from scoring.pair_median import median_distance
from scoring.precision import pinned_precision

IDENTICAL = 1e-4
"""Unit vectors this close are the same answer, give or take float32: cosine 1 - 5e-9."""
_ROW_COPIES = 2
"""How often torch holds a chunk's rows beside the answers themselves."""
_EPSILON = 1e-10
"""Added to a mean reach distance, as scikit-learn does: k + 1 identical rows score 1, not NaN."""


@torch.no_grad()
def local_outlier_factor(
    x: Tensor,
    valid: Tensor | None = None,
    n_neighbors: int | None = None,
    reach_floor: float = 0.0,
    max_bytes: int = 64 << 20,
) -> Tensor:
    """Rows x [B, N, D], valid [B, N] -> factors [B, N] float32: 1 is ordinary, larger is further out.

    Equals scikit-learn's -negative_outlier_factor_ on each item's valid rows when `reach_floor` is 0, except
    where rows tie for the k-th place: here, as in the paper, all of them are neighbours. Missing, NaN, Inf
    and overflowing rows get inf and leave their peers' factors unchanged; an item with fewer than two valid
    rows scores 1. `n_neighbors` is floor(N / 2) if not given, and is cut to the valid peers there are.
    `reach_floor` is the least reach distance in median pairwise distances of the item, of pairs further apart
    than IDENTICAL, or in IDENTICAL if there are none. `max_bytes` bounds the working memory, but for one
    item's. Raises ScoringError for other shapes, other types than floating point and bool, or n_neighbors
    below 1.
    """
    if x.ndim != 3 or (valid is not None and valid.shape != x.shape[:2]):
        raise ScoringError(
            f"local outlier factor of rows {tuple(x.shape)}: give rows [B, N, D] and valid [B, N] or none"
        )
    if not x.is_floating_point() or (valid is not None and valid.dtype is not torch.bool):
        raise ScoringError(
            f"local outlier factor of {x.dtype}, valid {None if valid is None else valid.dtype}: give rows "
            "of floating point numbers and valid of booleans"
        )
    items, count, dimension = x.shape
    neighbors = max(1, count // 2) if n_neighbors is None else n_neighbors
    if neighbors < 1:
        raise ScoringError(f"{neighbors} neighbors: the local outlier factor needs at least 1")
    if compiled.serves(x):
        return _on_cpu(x.float(), valid, neighbors, reach_floor, max_bytes)
    factors = torch.empty(items, count, device=x.device)
    item_numbers = max(1, count * count * PAIR_NUMBERS + _ROW_COPIES * count * dimension)
    with pinned_precision(x.device):
        for chunk in slices_of(items, max(1, max_bytes // (4 * item_numbers))):
            pairs = pairwise(x[chunk].float(), None if valid is None else valid[chunk])
            factors[chunk] = outlier_factor_of(pairs, neighbors, reach_floor, max_bytes)
    return factors


def _on_cpu(x: Tensor, valid: Tensor | None, neighbors: int, reach_floor: float, max_bytes: int) -> Tensor:
    """local_outlier_factor by compiled kernels, a few items in the cache at a time."""
    items, count, dimension = x.shape
    factors, flat = torch.empty(items, count), strided(x)
    flags = (torch.ones(items, count, dtype=torch.bool) if valid is None else valid.contiguous()).numpy()
    step = max(1, min(CHUNK_NUMBERS, max_bytes // 4) // max(1, count * max(count, dimension)))
    rows, present = torch.empty(step, count, dimension).numpy(), torch.empty(step, count).bool().numpy()
    squared = torch.empty(step, count, count).numpy()
    for part in slices_of(items, step):
        size = part.stop - part.start
        copy_present(flat.numbers, flat.steps, part.start, NORM_MAX, flags[part], rows[:size], present[:size])
        squared_distances(rows[:size], squared[:size])
        arguments = (neighbors, reach_floor, IDENTICAL, sorting_network(count), factors[part].numpy())
        outlier_factors(squared[:size], present[:size], *arguments)
    return factors


def outlier_factor_of(pairs: Pairs, neighbors: int, reach_floor: float, max_bytes: int = 64 << 20) -> Tensor:
    """Distances of B items -> local outlier factors [B, N] float32, inf where the row is missing.

    So many rows of each item are taken at a time that their working memory stays below `max_bytes`.
    """
    present, both = pairs.present, pairs.both
    items, count = present.shape
    if count < 2:
        return torch.where(present, 1.0, torch.inf)
    parts = list(slices_of(count, max(1, max_bytes // (4 * items * count * PAIR_NUMBERS))))
    wanted = min(neighbors, count - 1)
    peers = present.sum(1, keepdim=True)  # [B, 1]
    used = (peers - 1).clamp(1, wanted)  # [B, 1] neighbors this item can offer
    farthest = torch.cat(
        [_kth_nearest(pairs.distance[:, part], both[:, part], used, wanted) for part in parts], 1
    )
    least = farthest  # [B, N] the least reach distance of a neighbor
    if reach_floor > 0:
        # Without a floor, near-copies of one encoder are so dense that everyone else looks far out. Identical
        # rows say nothing about the spread: where most operators run one public model, they are not counted;
        # where all do, who is off by rounding, as another machine is, must not look far out.
        spread = median_distance(pairs.distance, both & (pairs.distance > IDENTICAL)).clamp_min(IDENTICAL)
        least = torch.maximum(farthest, (reach_floor * spread)[:, None])
    near, density, around = (
        torch.empty(items, count, dtype=torch.float64, device=least.device) for _ in "nda"
    )
    for part in parts:
        within = _within(pairs.distance, both, farthest, part)
        reach = torch.maximum(pairs.distance[:, part], least[:, None, :]).masked_fill_(~within, 0)
        near[:, part] = within.sum(2).clamp_min(1).double()
        density[:, part] = 1 / (reach.sum(2, dtype=torch.float64) / near[:, part] + _EPSILON)
    for part in parts:
        within = _within(pairs.distance, both, farthest, part)
        around[:, part] = torch.bmm(within.double(), density[:, :, None])[:, :, 0] / near[:, part]
    factor = torch.where(peers < 2, torch.ones_like(density), around / density)
    return torch.where(present, factor, torch.inf).float()


def _kth_nearest(distance: Tensor, both: Tensor, used: Tensor, most: int) -> Tensor:
    """Distance of some rows to their neighbor number `used` [B, 1], at most `most`. [B, n, N] -> [B, n]."""
    apart = distance.masked_fill(~both, torch.inf)
    nearest = torch.topk(apart, most, dim=2, largest=False).values
    return nearest.gather(2, (used - 1)[:, :, None].expand(-1, apart.shape[1], 1))[..., 0]


def _within(distance: Tensor, both: Tensor, farthest: Tensor, part: slice) -> Tensor:
    """Who are the neighbors of some rows: whoever ties for the k-th place counts. -> [B, n, N] bool."""
    return (distance[:, part] <= farthest[:, part, None]) & both[:, part]
