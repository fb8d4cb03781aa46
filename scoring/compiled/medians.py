"""Coordinate-wise median by a sorting network on planes that stay in a core's L1 cache."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled
from scoring.compiled.rows import Bools, Floats, Indices

_NUMBERS = 1 << 13
"""Numbers sorted at a time: two thirds of an L1 cache."""
_WIDTHS = 64, 256
"""The fewest and the most coordinates sorted at a time: exchanges of fewer cost as much."""

_LINE = 16
"""Numbers of a cache line."""


@compiled
def _aligned(numbers: int) -> Floats:
    """Memory that starts where a cache line does: a vector of 512 bits anywhere else reads two for one."""
    memory = np.empty(numbers + _LINE, np.float32)
    start = (64 - memory.ctypes.data % 64) % 64 // 4
    return memory[start : start + numbers]


@compiled
def medians(x: Floats, present: Bools, exchanges: Indices, out: Floats) -> None:
    """x [B, N, D], present [B, N], exchanges [E, 2] that sort -> medians out [B, D]; zeros where none is."""
    items, count, dimension = x.shape
    most = min(max(_NUMBERS // count, _WIDTHS[0]), _WIDTHS[1]) // 64 * 64
    planes = _aligned(count * most).reshape(count, most)
    planes[:] = np.inf
    for b in range(items):
        here = 0
        for n in range(count):
            here += present[b, n]
        if here == 0:
            out[b] = 0
            continue
        for first in range(0, dimension, most):
            width = min(most, dimension - first)
            for n in range(count):
                plane, row = planes[n], x[b, n, first : first + width]
                if present[b, n]:
                    for p in range(width):
                        plane[p] = row[p]
                else:
                    plane[:] = np.inf
            for e in range(len(exchanges)):
                low, high = planes[exchanges[e, 0]], planes[exchanges[e, 1]]
                for p in range(most):
                    one, other = low[p], high[p]
                    low[p] = (
                        one if one < other else other
                    )  # min() would ask about NaN, of which there is none
                    high[p] = other if one < other else one
            low, high, target = planes[(here - 1) // 2], planes[here // 2], out[b, first : first + width]
            for p in range(width):
                target[p] = (low[p] + high[p]) / np.float32(2)
