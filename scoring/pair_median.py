"""Median distance of an item's pairs: what the least reach distance is measured in."""

from __future__ import annotations

import torch
from torch import Tensor

from scoring.median import middle_of
from scoring.memory import slices_of

_SORTED_ROWS_MAX = 1024
"""Up to so many rows of an item its distances are sorted, which takes seven times their memory."""
_SORTED_NUMBERS = 1 << 21
"""Distances sorted at a time, but for one item's."""
_COUNTED_ROWS = 128
"""Rows whose pairs are counted at a time on the CPU, where a sum of flags takes eight bytes for each."""
_INFINITY_BITS = 0x7F800000


def median_distance(distance: Tensor, both: Tensor) -> Tensor:
    """Median over an item's pairs, true median of an even count too. [B, N, N] -> [B]; 0 without pairs.

    That each pair stands on both sides of the diagonal changes no median.
    """
    count = distance.shape[1]
    if count > _SORTED_ROWS_MAX:
        return _median_by_bisection(distance, both)
    middle = torch.empty(len(distance), device=distance.device)
    for some in slices_of(len(distance), max(1, _SORTED_NUMBERS // max(1, count * count))):
        apart = distance[some].masked_fill(~both[some], torch.inf)
        middle[some] = middle_of(apart.flatten(1), both[some].sum((1, 2)))
    return middle


def _median_by_bisection(distance: Tensor, both: Tensor) -> Tensor:
    """The same on the bits of the numbers, which have their order: sorting would take much more memory."""
    bits, items = distance.contiguous().view(torch.int32), len(distance)
    pairs = _numbers_up_to(bits, both, torch.full((items,), _INFINITY_BITS, device=bits.device))
    ends = []
    for rank in ((pairs - 1) // 2, pairs // 2):
        low = torch.zeros(len(pairs), dtype=torch.int32, device=distance.device)
        high = torch.full_like(low, _INFINITY_BITS)
        for _ in range(31):
            middle = low + (high - low) // 2
            enough = _numbers_up_to(bits, both, middle) > rank
            low, high = torch.where(enough, low, middle + 1), torch.where(enough, middle, high)
        ends.append(high.view(torch.float32))
    return torch.where(pairs > 0, (ends[0] + ends[1]) / 2, 0.0)


def _numbers_up_to(bits: Tensor, both: Tensor, most: Tensor) -> Tensor:
    """How many of an item's distances are at most `most` [B]. [B, N, N] -> [B]."""
    count = torch.zeros(len(bits), dtype=torch.int64, device=bits.device)
    rows = bits.shape[1] if bits.is_cuda else _COUNTED_ROWS
    for part in slices_of(bits.shape[1], rows):
        count += ((bits[:, part] <= most[:, None, None]) & both[:, part]).sum((1, 2))
    return count
