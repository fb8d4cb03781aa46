"""Distances between the rows of each item, and the statistics that need nothing else."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled
from scoring.compiled.rows import Bools, Doubles, Floats

_INFINITY_BITS = 0x7F800000
_CACHED = 1 << 17
"""Numbers that stay in a core's L2 cache: of more rows than that, so many coordinates are taken at a time."""


@compiled
def _tile(a: Floats, b: Floats, p: Floats, q: Floats, r: Floats, s: Floats) -> tuple[np.float32, ...]:
    """Squared distances of two rows to four: a register each, six loads for eight differences."""
    ap = aq = ar = as_ = bp = bq = br = bs = np.float32(0)
    for t in range(len(a)):
        x, y = a[t], b[t]
        ap += (x - p[t]) * (x - p[t])
        aq += (x - q[t]) * (x - q[t])
        ar += (x - r[t]) * (x - r[t])
        as_ += (x - s[t]) * (x - s[t])
        bp += (y - p[t]) * (y - p[t])
        bq += (y - q[t]) * (y - q[t])
        br += (y - r[t]) * (y - r[t])
        bs += (y - s[t]) * (y - s[t])
    return ap, aq, ar, as_, bp, bq, br, bs


@compiled
def _squared_distances(x: Floats, out: Floats) -> None:
    """x [N, D] -> out [N, N]. Subtracted before they are squared: close rows keep all their digits."""
    count, dimension = x.shape
    out[:] = 0
    tile = np.empty((2, 4), np.float32)
    block = max(64, _CACHED // max(1, count) // 64 * 64)
    for first in range(0, dimension, block):
        last = min(first + block, dimension)
        for j in range(0, count, 4):  # four rows in L1, all rows before them passing by in pairs
            p, q = x[j, first:last], x[min(j + 1, count - 1), first:last]
            r, s = x[min(j + 2, count - 1), first:last], x[min(j + 3, count - 1), first:last]
            for i in range(0, min(j + 4, count), 2):
                a, b = x[i, first:last], x[min(i + 1, count - 1), first:last]
                (
                    tile[0, 0],
                    tile[0, 1],
                    tile[0, 2],
                    tile[0, 3],
                    tile[1, 0],
                    tile[1, 1],
                    tile[1, 2],
                    tile[1, 3],
                ) = _tile(a, b, p, q, r, s)
                for u in range(min(2, count - i)):
                    for v in range(min(4, count - j)):
                        out[i + u, j + v] += tile[u, v]
    for i in range(count):
        for j in range(i):
            out[i, j] = out[j, i]


@compiled
def _kth_smallest(symmetric: Floats, k: int, out: Floats) -> None:
    """out[i]: k-th smallest, from 1, of column i [N, N] of non-negative numbers; inf if fewer are finite.

    Bisection on the bits, which have the order of the numbers; all columns at once, row by row.
    """
    count = len(symmetric)
    bits, low = symmetric.view(np.int32), out.view(np.int32)
    least, most = np.int32(_INFINITY_BITS), np.int32(0)
    for j in range(count):
        for i in range(count):
            value = bits[j, i]
            least = min(least, value)
            most = max(most, value if value < _INFINITY_BITS else np.int32(0))
    beyond = max(most, least) + 1
    high, below = np.full(count, beyond, np.int32), np.empty(count, np.int32)
    middle = np.empty(count, np.int32)
    low[:] = least
    width = beyond - least
    while width > 0:
        width >>= 1
        for i in range(count):
            middle[i] = low[i] + ((high[i] - low[i]) >> 1)
            below[i] = 0
        for j in range(count):
            for i in range(count):
                below[i] += np.int32(bits[j, i] <= middle[i])
        for i in range(count):
            enough = below[i] >= k
            high[i] = middle[i] if enough else high[i]
            low[i] = low[i] if enough else min(middle[i] + 1, high[i])
    for i in range(count):
        low[i] = low[i] if low[i] < beyond else _INFINITY_BITS


@compiled
def _pair_median(distance: Floats, identical: float) -> float:
    """Median of pairs further apart than `identical`, or of all finite ones. [N, N] -> 0 if there is none."""
    count = len(distance)
    values = np.empty(count * (count - 1) // 2, np.float32)
    at = 0
    for i in range(count):
        for j in range(i + 1, count):
            values[at] = distance[i, j]
            at += 1
    same, pairs = np.float32(0), np.float32(0)
    for value in values:
        same += np.float32(1) if value <= identical else np.float32(0)
        pairs += np.float32(1) if value < np.inf else np.float32(0)
    if pairs == 0:
        return 0.0
    if same == pairs:
        same = np.float32(0)
    bits, end = values.view(np.int32), np.empty(1, np.int32)
    rank = int(same) + (int(pairs - same) - 1) // 2  # of the lower middle, from 0
    low, high = 0, _INFINITY_BITS
    while low < high:
        middle = np.int32((low + high) >> 1)
        below = np.float32(0)
        for bit in bits:
            below += np.float32(1) if bit <= middle else np.float32(0)
        if below > rank:
            high = int(middle)
        else:
            low = int(middle) + 1
    end[0] = low
    lower = end.view(np.float32)[0]
    up_to, upper = np.float32(0), np.float32(np.inf)
    for value in values:
        up_to += np.float32(1) if value <= lower else np.float32(0)
        upper = min(upper, value if value > lower else np.float32(np.inf))
    if int(pairs - same) % 2 == 1 or up_to > rank + 1:
        upper = lower
    return (np.float64(lower) + np.float64(upper)) / 2


@compiled
def _factors(
    distance: Floats, present: Bools, wanted: int, reach_floor: float, identical: float, out: Floats
) -> None:
    """Local outlier factors [N] of one item, from distances [N, N], inf to itself and to the absent.

    A neighbor is whoever is as near as the k-th: rows that tie for it all count, whatever their order.
    """
    count = len(present)
    peers = 0
    for here in present:
        peers += here
    k = min(wanted, peers - 1)
    if k < 1:
        for i in range(count):
            out[i] = 1.0 if present[i] else np.inf
        return
    farthest = np.empty(count, np.float32)
    _kth_smallest(distance, k, farthest)
    floor = np.float32(0)
    if reach_floor > 0:
        floor = np.float32(reach_floor * _pair_median(distance, identical))
    density, total, near = np.empty(count), np.zeros(count), np.zeros(count)
    for j in range(count):
        if not present[j]:
            continue
        least = max(farthest[j], floor)
        for i in range(count):
            within = distance[j, i] <= farthest[i]
            total[i] += np.float64(max(distance[j, i], least)) if within else 0.0
            near[i] += 1.0 if within else 0.0
    for i in range(count):
        density[i] = 1 / (total[i] / near[i] + 1e-10)
        total[i] = 0
    for j in range(count):
        if not present[j]:
            continue
        for i in range(count):
            total[i] += density[j] if distance[j, i] <= farthest[i] else 0.0
    for i in range(count):
        out[i] = total[i] / near[i] / density[i] if present[i] else np.inf


@compiled
def outlier_factors(
    x: Floats, present: Bools, wanted: int, reach_floor: float, identical: float, out: Floats
) -> None:
    """Local outlier factors: x [B, N, D] with zeros where not present [B, N] -> out [B, N]."""
    items, count, _ = x.shape
    distance = np.empty((count, count), np.float32)
    for item in range(items):
        _squared_distances(x[item], distance)
        _separate(distance, present[item])
        _factors(distance, present[item], wanted, reach_floor, identical, out[item])


@compiled
def _separate(squared: Floats, present: Bools) -> None:
    """Squared distances -> distances in place, inf to itself and between rows of which one is absent."""
    count = len(present)
    for i in range(count):
        for j in range(count):
            both = present[i] and present[j] and i != j
            squared[i, j] = np.sqrt(squared[i, j]) if both else np.float32(np.inf)


@compiled
def _dissimilarities(squared: Floats, present: Bools, peers: Bools, x: Floats, out: Floats) -> None:
    """2 - 2 cosine of unit or zero rows x [N, D] -> out [N, N].

    A column is a row of x and its peers: inf for itself, 2 for whoever is absent or no peer.
    """
    count, dimension = x.shape
    norms = np.empty(count, np.float32)
    for i in range(count):
        row, norm = x[i], np.float32(0)
        for t in range(dimension):
            norm += row[t] * row[t]
        norms[i] = norm
    for i in range(count):
        for j in range(count):
            apart = max(np.float32(0), np.float32(2) - norms[i] - norms[j] + squared[i, j])
            out[i, j] = apart if present[i] and present[j] and peers[i] else np.float32(2)
        out[i, i] = np.inf


@compiled
def similarities(
    x: Floats, present: Bools, peers: Bools, minority: int, least: Doubles, few: int, out: Floats
) -> None:
    """Majority similarity of items in two looks: unit or zero rows x [B, N, D] -> out [T, B, N].

    present and peers [B, N]. In the first look `minority` peers must agree; in the second, for each of the T
    numbers `least`, half of the peers that reached it in the first: -1 where those are fewer than `few`.
    """
    items, count, _ = x.shape
    squared, apart = np.empty((count, count), np.float32), np.empty((count, count), np.float32)
    first, sound = np.empty(count, np.float32), np.empty((len(least), count), np.bool_)
    for item in range(items):
        here = present[item]
        _squared_distances(x[item], squared)
        _dissimilarities(squared, here, peers[item], x[item], apart)
        _agreement(apart, minority, first)
        for look in range(len(least)):
            passed = 0
            same = look > 0
            for i in range(count):
                sound[look, i] = here[i] and peers[item, i] and first[i] >= least[look]
                same = same and sound[look, i] == sound[0, i]
                passed += sound[look, i]
            if same:
                out[look, item] = out[0, item]
            elif passed < few:
                out[look, item] = np.float32(-1)
            else:
                _dissimilarities(squared, here, sound[look], x[item], apart)
                _agreement(apart, max(1, passed // 2), out[look, item])


@compiled
def _agreement(apart: Floats, majority: int, out: Floats) -> None:
    """The `majority`-th largest cosine of each row. [N, N] -> [N]; 0 for a single row."""
    rank = min(majority, len(out) - 1)
    if rank < 1:
        out[:] = 0
        return
    _kth_smallest(apart, rank, out)
    for i in range(len(out)):
        out[i] = np.float32(1) - out[i] / np.float32(2)


@compiled
def pair_statistics(
    x: Floats,
    present: Bools,
    wanted: int,
    reach_floor: float,
    identical: float,
    majority: int,
    factors: Floats,
    cosines: Floats,
    cosine_sum: Doubles,
) -> None:
    """Factors and majority similarities [B, N] of unit rows x [B, N, D]; their cosines added to [N, N]."""
    items, count, _ = x.shape
    distance, apart = np.empty((count, count), np.float32), np.empty((count, count), np.float32)
    for item in range(items):
        here = present[item]
        _squared_distances(x[item], distance)
        _dissimilarities(distance, here, here, x[item], apart)
        _agreement(apart, majority, cosines[item])
        for i in range(count):
            if here[i]:
                for j in range(count):
                    both = here[j] and i != j
                    cosine_sum[i, j] += 1 - 0.5 * np.float64(apart[i, j]) if both else 0.0
        _separate(distance, here)
        _factors(distance, here, wanted, reach_floor, identical, factors[item])
