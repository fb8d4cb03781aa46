"""Coordinate-wise median over the encoders of a shard: the robust centre that copies cannot drag."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scoring import compiled
from scoring.compiled.medians import medians

Exchanges = npt.NDArray[np.int64]
"""[E, 2]: in this order, put the smaller on the first wire of each pair and the larger on the second."""


@lru_cache(maxsize=16)
def sorting_network(count: int) -> Exchanges:
    """Batcher's odd-even merge exchange that sorts `count` wires (Knuth, TAOCP 5.2.2, algorithm M)."""
    wires, layers = np.arange(count), [np.empty((0, 2), np.int64)]
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            lower = wires[: max(0, count - d)]
            lower = lower[lower & p == r]
            layers.append(np.stack([lower, lower + d], axis=1))
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return np.concatenate(layers)


@lru_cache(maxsize=16)
def selection_network(count: int, first: int, last: int) -> Exchanges:
    """The exchanges [E, 2] of the sorting network that decide what ends on wires `first` to `last`."""
    wanted = set(range(first, last + 1))
    kept: list[tuple[int, int]] = []
    for a, b in reversed(sorting_network(count).tolist()):
        if a in wanted or b in wanted:
            kept.append((a, b))
            wanted |= {a, b}
    return np.array(kept[::-1], np.int64).reshape(-1, 2)


def median_network(present: Tensor) -> Exchanges:
    """The exchanges that bring the middle of every item's present rows to its wires. present [B, N]."""
    counts = present.sum(1)
    some = counts[counts > 0]
    if not len(some):
        return np.empty((0, 2), np.int64)
    return selection_network(present.shape[1], (int(some.min()) - 1) // 2, int(some.max()) // 2)


def coordinate_median(rows: Tensor, present: Tensor) -> Tensor:
    """Rows [B, N, D], present [B, N] -> median over the present rows [B, D]; zeros where none is.

    The mean of the two middle values if even. On the CPU whole planes are compared and exchanged, which for
    the few encoders of a shard is ten times as fast as sorting along an axis.
    """
    if compiled.serves(rows):
        middle = torch.empty(len(rows), rows.shape[2])
        arrays = (present.contiguous().numpy(), median_network(present), middle.numpy())
        medians(rows.contiguous().numpy(), *arrays)
        return middle
    return middle_of(torch.where(present[:, :, None], rows, torch.inf), present.sum(1)[:, None])


def middle_of(values: Tensor, count: Tensor) -> Tensor:
    """Median of the `count` smallest along the second axis, true median of an even count too; 0 of none.

    [B, n, ...], count [B, ...] or of size 1 -> [B, ...].
    """
    order = values.sort(1).values
    ends = (count - 1).clamp_min(0) // 2, count // 2
    low, high = (order.gather(1, end.expand_as(order[:, 0])[:, None])[:, 0] for end in ends)
    return torch.where(count > 0, (low + high) / 2, 0.0)
