"""Coordinate-wise median by a sorting network on planes that stay in a core's L1 cache."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled
from scoring.compiled.rows import Bools, Floats, Indices

_INFINITY_BITS = 0x7F800000
_WIDTH = 64
"""Coordinates sorted at a time: sixty-four encoders of them take half of an L1 cache."""


@compiled
def medians(x: Floats, present: Bools, exchanges: Indices, out: Floats) -> None:
    """x [B, N, D], present [B, N], exchanges [E, 2] that sort -> medians out [B, D]; zeros where none is."""
    items, count, dimension = x.shape
    # As integers in the order of the floats they stand for: these are compared eight at a time.
    planes = np.full((count, _WIDTH), _INFINITY_BITS, np.int32)
    ends = np.empty(2 * _WIDTH, np.int32)
    values = ends.view(np.float32)
    bits = x.view(np.int32)
    for b in range(items):
        here = 0
        for n in range(count):
            here += present[b, n]
        if here == 0:
            out[b] = 0
            continue
        for first in range(0, dimension, _WIDTH):
            width = min(_WIDTH, dimension - first)
            for n in range(count):
                plane, row = planes[n], bits[b, n, first : first + width]
                if present[b, n]:
                    for p in range(width):
                        plane[p] = row[p] ^ ((row[p] >> 31) & np.int32(0x7FFFFFFF))
                else:
                    plane[:] = _INFINITY_BITS
            for e in range(len(exchanges)):
                low, high = planes[exchanges[e, 0]], planes[exchanges[e, 1]]
                for p in range(_WIDTH):
                    one, other = low[p], high[p]
                    low[p] = min(one, other)
                    high[p] = max(one, other)
            low, high = planes[(here - 1) // 2], planes[here // 2]
            for p in range(width):
                ends[p] = low[p] ^ ((low[p] >> 31) & np.int32(0x7FFFFFFF))
                ends[_WIDTH + p] = high[p] ^ ((high[p] >> 31) & np.int32(0x7FFFFFFF))
            for p in range(width):
                out[b, first + p] = (values[p] + values[_WIDTH + p]) / np.float32(2)
