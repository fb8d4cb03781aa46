"""Statistics of each item that need nothing but the distances between its rows."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled
from scoring.compiled.rows import Bools, Doubles, Floats, Indices

_INFINITY_BITS = 0x7F800000
_WIDTH = 64
"""Columns sorted at a time."""
_COPIED_MAX = 1024
"""Of more rows than that, medians are taken of distances as they lie: a copy would take too much memory."""

_LINE = 16
"""Numbers of a cache line. `_aligned` stands in `medians` too: a kernel calls nothing from another file."""


@compiled
def _aligned(numbers: int) -> Floats:
    """Memory that starts where a cache line does: a vector of 512 bits anywhere else reads two for one."""
    memory = np.empty(numbers + _LINE, np.float32)
    start = (64 - memory.ctypes.data % 64) % 64 // 4
    return memory[start : start + numbers]


@compiled
def _diagonal(square: Floats, out: Floats) -> None:
    """[N, N] -> [N]: what lies together is read at once."""
    for i in range(len(out)):
        out[i] = square[i, i]


@compiled
def _sort_columns(columns: Floats, wide: int, network: Indices) -> None:
    """Sort the first columns [N, W] of non-negative numbers, all at once; network [E, 2] sorts N.

    As integers, which have the same order.
    """
    bits = columns.view(np.int32)
    for e in range(len(network)):
        low, high = bits[network[e, 0]], bits[network[e, 1]]
        for i in range(wide):
            one, other = low[i], high[i]
            low[i] = min(one, other)
            high[i] = max(one, other)


@compiled
def _kth_smallest(symmetric: Floats, k: int, network: Indices, out: Floats) -> None:
    """out[i]: k-th smallest, from 1, of column i [N, N] of non-negative numbers; network [E, 2] sorts N.

    So many columns at a time that they stay in the cache.
    """
    count = len(symmetric)
    width = min(_WIDTH, count)
    columns = _aligned(count * width).reshape(count, width)
    for first in range(0, count, width):
        wide = min(width, count - first)
        for j in range(count):
            row, source = columns[j], symmetric[j, first : first + wide]
            for i in range(wide):
                row[i] = source[i]
        _sort_columns(columns, wide, network)
        out[first : first + wide] = columns[k - 1, :wide]


@compiled
def _pairs_of(distance: Floats) -> Floats:
    """What is above the diagonal. [N, N] -> [N (N - 1) / 2]."""
    count = len(distance)
    values = np.empty(count * (count - 1) // 2, np.float32)
    at = 0
    for i in range(count):
        row, rest = distance[i, i + 1 :], values[at : at + count - 1 - i]
        for j in range(len(rest)):
            rest[j] = row[j]
        at += len(rest)
    return values


@compiled
def _median(values: Floats, identical: float) -> float:
    """Median of the finite numbers [P] above `identical`; `identical` if there is none."""
    same, pairs = np.float32(0), np.float32(0)  # counts: as float32 they fill whole registers
    for p in range(len(values)):
        value = values[p]
        same += np.float32(1) if value <= identical else np.float32(0)
        pairs += np.float32(1) if value < np.inf else np.float32(0)
    if same == pairs:
        return identical
    rank = int(same) + (int(pairs - same) - 1) // 2  # of the lower middle, from 0
    bits, low, high, split = values.view(np.int32), 0, _INFINITY_BITS, np.float32(0)
    while low < high and split != rank + 1:  # until a number parts the lower middle from what is above it
        middle = np.int32((low + high) >> 1)
        split = np.float32(0)
        for p in range(len(bits)):
            bit = bits[p]
            split += np.float32(1) if bit <= middle else np.float32(0)
        if split > rank:
            high = int(middle)
        else:
            low = int(middle) + 1
    most = np.int32(high)
    lower, upper, split = np.int32(0), np.int32(_INFINITY_BITS), np.float32(0)
    for p in range(len(bits)):
        bit = bits[p]
        split += np.float32(1) if bit <= most else np.float32(0)
        lower = max(lower, bit if bit <= most else np.int32(0))
        upper = min(upper, bit if bit > most else np.int32(_INFINITY_BITS))
    ends = np.empty(2, np.int32)
    ends[0] = lower
    ends[1] = lower if int(pairs - same) % 2 == 1 or split > rank + 1 else upper
    middles = ends.view(np.float32)
    return (np.float64(middles[0]) + np.float64(middles[1])) / 2


@compiled
def _pair_median(distance: Floats, identical: float) -> float:
    """Median of the finite pairs further apart than `identical`. [N, N] -> `identical` if there is none."""
    if len(distance) <= _COPIED_MAX:
        return _median(_pairs_of(distance), identical)
    return _median(distance.reshape(-1), identical)  # each pair twice, which changes no median, inf for none


@compiled
def _factors(
    distance: Floats,
    present: Bools,
    wanted: int,
    reach_floor: float,
    identical: float,
    network: Indices,
    out: Floats,
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
    _kth_smallest(distance, k, network, farthest)
    floor = np.float32(0)
    if reach_floor > 0:
        floor = np.float32(reach_floor * _pair_median(distance, identical))
    density, total, near = np.empty(count), np.zeros(count), np.zeros(count, np.float32)
    for j in range(count):
        if not present[j]:
            continue
        row, least = distance[j], max(farthest[j], floor)
        for i in range(count):
            total[i] += np.float64(max(row[i], least)) if row[i] <= farthest[i] else 0.0
            near[i] += np.float32(1) if row[i] <= farthest[i] else np.float32(0)
    for i in range(count):
        density[i] = 1 / (total[i] / near[i] + 1e-10)
        total[i] = 0
    for j in range(count):
        if not present[j]:
            continue
        row, dense = distance[j], density[j]
        for i in range(count):
            total[i] += dense if row[i] <= farthest[i] else 0.0
    for i in range(count):
        out[i] = total[i] / near[i] / density[i] if present[i] else np.inf


@compiled
def _separate(squared: Floats, present: Bools, out: Floats) -> None:
    """Squared distances -> distances [N, N], inf to itself and between rows of which one is absent."""
    count = len(present)
    for i in range(count):
        if not present[i]:
            out[i] = np.inf
            continue
        row, target = squared[i], out[i]
        for j in range(count):
            target[j] = np.sqrt(row[j]) if present[j] else np.float32(np.inf)
        target[i] = np.inf


@compiled
def copy_present(
    flat: Floats,
    steps: tuple[int, ...],
    first: int,
    norm_max: float,
    valid: Bools,
    out: Floats,
    present: Bools,
) -> None:
    """Copy items from `first` on to out [b, N, D]; rows not valid, or too long, are zeros and not present."""
    items, count, dimension = out.shape
    for n in range(count):
        for b in range(items):
            at = (first + b) * steps[0] + n * steps[1]
            row, target = flat[at : at + dimension], out[b, n]
            square = np.float32(0)
            for p in range(dimension):
                square += row[p] * row[p]
            here = valid[b, n] and np.sqrt(square) < norm_max  # NaN compares false
            present[b, n] = here
            if here:
                for p in range(dimension):
                    target[p] = row[p]
            else:
                target[:] = 0


@compiled
def outlier_factors(
    squared: Floats,
    present: Bools,
    wanted: int,
    reach_floor: float,
    identical: float,
    network: Indices,
    out: Floats,
) -> None:
    """Local outlier factors [B, N], from squared distances [B, N, N], which are lost, and present [B, N].

    network [E, 2]: exchanges that sort N numbers.
    """
    for item in range(len(squared)):
        here, distance = present[item], squared[item]
        _separate(distance, here, distance)
        _factors(distance, here, wanted, reach_floor, identical, network, out[item])


@compiled
def _agreement(
    squared: Floats,
    norms: Floats,
    present: Bools,
    peers: Bools,
    majority: int,
    network: Indices,
    out: Floats,
) -> None:
    """The `majority`-th largest cosine of each row to its peers, 0 with whoever is absent or no peer.

    From `squared_distances` of one item [N, N] and its diagonal -> [N]; 0 for a single row. Sorted are
    2 - 2 cosine.
    """
    count = len(present)
    rank = min(majority, count - 1)
    if rank < 1:
        out[:] = 0
        return
    width = min(_WIDTH, count)
    columns = _aligned(count * width).reshape(count, width)
    for first in range(0, count, width):
        wide = min(width, count - first)
        here, norms_here = present[first : first + wide], norms[first : first + wide]
        for j in range(count):
            counts, norm = present[j] and peers[j], norms[j]
            row, source = columns[j], squared[j, first : first + wide]
            for i in range(wide):
                apart = max(np.float32(0), np.float32(2) - norm - norms_here[i] + source[i])
                row[i] = apart if counts and here[i] else np.float32(2)
            if first <= j < first + wide:
                row[j - first] = np.inf  # nobody is a peer of its own
        _sort_columns(columns, wide, network)
        for i in range(wide):
            out[first + i] = np.float32(1) - columns[rank - 1, i] / np.float32(2)


@compiled
def similarities(
    squared: Floats,
    present: Bools,
    peers: Bools,
    minority: int,
    least: Doubles,
    few: int,
    network: Indices,
    out: Floats,
) -> None:
    """Majority similarity of items in two looks, from `squared_distances` [B, N, N] -> out [T, B, N].

    present and peers [B, N]. In the first look `minority` peers must agree; in the second, for each of the T
    numbers `least`, half of the peers that reached it in the first: -1 where those are fewer than `few`.
    network [E, 2]: exchanges that sort N numbers.
    """
    items, count = present.shape
    norms, first = _aligned(count), np.empty(count, np.float32)
    sound = np.empty((len(least), count), np.bool_)
    for item in range(items):
        here = present[item]
        _diagonal(squared[item], norms)
        _agreement(squared[item], norms, here, peers[item], minority, network, first)
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
                majority = max(1, passed // 2)
                _agreement(squared[item], norms, here, sound[look], majority, network, out[look, item])


@compiled
def _add_cosines(squared: Floats, norms: Floats, present: Bools, total: Doubles) -> None:
    """Add the cosines between present rows, from `squared_distances` of an item and its diagonal, to total.

    Only below the diagonal: above it `add_across` gathers what is below.
    """
    for i in range(len(present)):
        if present[i]:
            norm, row, target = norms[i], squared[i, :i], total[i, :i]
            for j in range(i):
                apart = max(np.float32(0), np.float32(2) - norm - norms[j] + row[j])
                target[j] += 1 - 0.5 * np.float64(apart) if present[j] else 0.0


@compiled
def cosine_sums(squared: Floats, present: Bools, total: Doubles) -> None:
    """Add the cosines of rows present [B, N], from `squared_distances` [B, N, N], to total [N, N].

    Only below the diagonal.
    """
    norms = _aligned(present.shape[1])
    for item in range(len(present)):
        _diagonal(squared[item], norms)
        _add_cosines(squared[item], norms, present[item], total)


@compiled
def add_across(total: Doubles) -> None:
    """Add what is below the diagonal [N, N] to what is above it, and leave zeros below."""
    for i in range(len(total)):
        for j in range(i):
            total[j, i] += total[i, j]
            total[i, j] = 0


@compiled
def pair_statistics(
    squared: Floats,
    present: Bools,
    wanted: int,
    reach_floor: float,
    identical: float,
    majority: int,
    network: Indices,
    scratch: Floats,
    factors: Floats,
    cosines: Floats,
    cosine_sum: Doubles,
) -> None:
    """Outlier factors and majority similarities [B, N] of one role, from `squared_distances` [B, N, N].

    The cosines between rows present [B, N] are added to cosine_sum [N, N] below its diagonal. network [E, 2]:
    exchanges that sort N numbers. scratch [1 or B, N, N] is written to: the squared distances themselves, if
    they are needed no more.
    """
    norms = _aligned(present.shape[1])
    for item in range(len(present)):
        here, distance = present[item], scratch[item % len(scratch)]
        _diagonal(squared[item], norms)
        _agreement(squared[item], norms, here, here, majority, network, cosines[item])
        _add_cosines(squared[item], norms, here, cosine_sum)
        _separate(squared[item], here, distance)
        _factors(distance, here, wanted, reach_floor, identical, network, factors[item])
