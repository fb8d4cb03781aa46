"""Rows centred and compared: each is read from memory once a pass."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scoring.compiled import compiled, compiled_in_order, prefetch
from scoring.compiled.registers import LANES, SIDE, inner_products

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Source: TypeAlias = tuple[Floats, tuple[int, ...]]
"""Numbers as they lie and the steps from encoder to encoder, item to item and mask to mask.

Roles are numbered as in `Views.roles`: the full view, mask 0, inverse 0, mask 1, .... Loops run over the rows
of one source: to take each row from one of three costs as much as a third of reading it.
"""

_LINE, _LINES = 16, 6
"""Numbers of a cache line, and how many lines of a row are asked for while the row before it is read."""
_CACHED = 1 << 17
"""Numbers that stay in a core's L2 cache: of more rows than that, so many coordinates are taken at a time."""
_CLOSE = np.float32(1 / 16)
"""Squared distances below so much of the squared norms are taken of differences: products of float32 leave
six digits of those above."""


@compiled
def _row(source: Source, n: int, i: int, k: int, dimension: int) -> Floats:
    """Row of encoder n, item i, mask k."""
    at = n * source[1][0] + i * source[1][1] + k * source[1][2]
    return source[0][at : at + dimension]


@compiled
def _announce(source: Source, n: int, i: int, k: int) -> None:
    """Ask for the beginning of a row that is read next: the processor foresees no further than a page."""
    at = n * source[1][0] + i * source[1][1] + k * source[1][2]
    for line in range(_LINES):
        prefetch(source[0], at + _LINE * line)


@compiled
def _addresses(source: Source, k: int, i: int, ahead: Indices) -> None:
    """Where the rows of item i, mask k, begin in memory, encoder after encoder -> ahead [N]."""
    first = source[0].ctypes.data + 4 * (i * source[1][1] + k * source[1][2])
    for n in range(len(ahead)):
        ahead[n] = first + 4 * n * source[1][0]


@compiled
def _add_tile(sums: Floats, i: int, j: int, out: Floats) -> None:
    """Add the sums of rows i to i + 3 with j to j + 3 to out [N, M], as far as it goes."""
    height, width = min(SIDE, out.shape[0] - i), min(SIDE, out.shape[1] - j)
    if height == SIDE and width == SIDE:
        for k in range(SIDE):
            for m in range(SIDE):
                out[i + k, j + m] += sums[SIDE * k + m]
    else:
        for k in range(height):
            for m in range(width):
                out[i + k, j + m] += sums[SIDE * k + m]


@compiled
def _product(a: Floats, b: Floats) -> np.float32:
    """Inner product of two rows."""
    total = np.float32(0)
    for p in range(len(a)):
        total += a[p] * b[p]
    return total


@compiled
def _products(a: Floats, b: Floats, upper: bool, ahead: Indices, out: Floats) -> None:
    """Inner products of rows a [N, D] with rows b [M, D] -> out [N, M]; perhaps but the upper triangle.

    ahead [A]: addresses of rows that are read next, which arrive while these are multiplied.
    """
    count, dimension = a.shape
    whole, turn, sums = dimension // LANES * LANES, 0, np.empty(SIDE * SIDE, np.float32)
    out[:] = 0
    block = max(64, _CACHED // max(1, count) // 64 * 64)
    for start in range(0, whole, block):
        end = min(start + block, whole)
        for j in range(0, len(b), SIDE):  # four rows in L1, all rows of the other side passing by
            for i in range(0, min(count, j + 1) if upper else count, SIDE):
                later = ahead[turn] if turn < len(ahead) else a.ctypes.data
                inner_products(a, i, b, j, start, end, sums, later)
                _add_tile(sums, i, j, out)
                turn += 1
    if whole < dimension:
        for i in range(count):
            for j in range(i if upper else 0, len(b)):
                out[i, j] += _product(a[i, whole:], b[j, whole:])


@compiled
def products(a: Floats, b: Floats, out: Floats) -> None:
    """Inner products of rows a [N, D] with rows b [M, D] -> out [N, M]."""
    _products(a, b, False, np.empty(0, np.int64), out)


@compiled
def _apart(a: Floats, b: Floats) -> np.float32:
    """Squared distance of two rows [D], subtracted before they are squared: close rows keep all digits."""
    square = np.float32(0)
    for p in range(len(a)):
        off = a[p] - b[p]
        square += off * off
    return square


@compiled_in_order
def _from_products(row: Floats, scales: Floats, norms: Floats, i: int) -> None:
    """Inner products of row i with those after it -> squared distances; norms [N] are squared.

    Those of i to j and of j to i are the same to the last bit, or a tie would hang on the order of encoders.
    """
    scale, norm = scales[i], norms[i]
    for j in range(i + 1, len(row)):
        row[j] = (norm + norms[j]) - np.float32(2) * (row[j] * (scale * scales[j]))


@compiled
def _squared_distances(x: Floats, scales: Floats, norms: Floats, ahead: Indices, out: Floats) -> None:
    """Of rows x [N, D] times scales [N] -> out [N, N], the rows' squared norms [N] on the diagonal too.

    From products, which take less time than differences; pairs that these would leave too few digits of are
    subtracted, for which the rows are scaled where they lie.
    """
    count, scaled = len(x), False
    _products(x, x, True, ahead, out)
    for i in range(count):
        norms[i] = out[i, i] * scales[i] * scales[i]
    for i in range(count):
        row = out[i]
        _from_products(row, scales, norms, i)
        for j in range(i + 1, count):
            if row[j] < _CLOSE * (norms[i] + norms[j]):
                for n in range(0 if scaled else count):
                    for p in range(x.shape[1]):
                        x[n, p] *= scales[n]
                scaled = True
                row[j] = _apart(x[i], x[j])
        row[i] = norms[i]
        for j in range(i):
            row[j] = out[j, i]


@compiled
def squared_distances(x: Floats, out: Floats) -> None:
    """Rows x [B, N, D] -> out [B, N, N]; on the diagonal 1, or 0 for a row of zeros."""
    items, count = x.shape[:2]
    ones, norms = np.ones(count, np.float32), np.empty(count, np.float32)
    nothing = np.empty(0, np.int64)
    for item in range(items):
        _squared_distances(x[item], ones, norms, nothing, out[item])
        for i in range(count):
            out[item, i, i] = 1 if out[item, i, i] > 0 else 0


@compiled
def _centre_rows(
    source: Source,
    k: int,
    i: int,
    norm_min: float,
    means: Floats,
    factors: Floats,
    rests: Floats,
    scales: Floats,
    rows: Floats,
) -> None:
    """Rows [N, D] = factor * row - mean of an item, their norms (rests) and factors to unit norm (scales).

    factors, rests and scales [N, I]; a row without a factor is left as it is and gets a scale of 0.
    """
    count, dimension = rows.shape
    for n in range(count):
        factor, square = factors[n, i], np.float32(0)
        if n + 1 < count:
            _announce(source, n + 1, i, k)
        if factor > 0:
            row, mean, target = _row(source, n, i, k, dimension), means[n], rows[n]
            for p in range(dimension):
                off = factor * row[p] - mean[p]
                target[p] = off
                square += off * off
        rest = np.sqrt(square)
        rests[n, i] = rest
        scales[n, i] = np.float32(1) / rest if rest > norm_min else np.float32(0)


@compiled
def centre(
    full: Source,
    mask: Source,
    inverse: Source,
    norm_min: float,
    means: Floats,
    factors: Floats,
    rests: Floats,
    scales: Floats,
    squared: Floats,
    rows: Floats,
) -> None:
    """Norms once centred, factors to unit norm after that (0 without a direction), and squared distances.

    means [N, D], factors [R, N, I] to unit norm before -> rests and scales [R, N, I]; squared [R', I, N, N],
    as by `squared_distances`, of the first R' roles, measured while an item's rows [N, D] are in the cache.
    """
    roles, count, items = factors.shape
    rows[:] = 0
    here, norms = np.empty(count, np.float32), np.empty(count, np.float32)
    ahead = np.empty(count, np.int64)
    for i in range(items):
        for r in range(roles):
            k, arrays = (r - 1) // 2, (norm_min, means, factors[r], rests[r], scales[r], rows)
            if r == 0:
                _centre_rows(full, 0, i, *arrays)
            elif r % 2 == 1:
                _centre_rows(mask, k, i, *arrays)
            else:
                _centre_rows(inverse, k, i, *arrays)
            if r < len(squared):
                here[:] = scales[r, :, i]
                if r + 1 == roles:
                    _addresses(full, 0, i + 1, ahead)
                elif r % 2 == 0:
                    _addresses(mask, r // 2, i, ahead)
                else:
                    _addresses(inverse, r // 2, i, ahead)
                _squared_distances(rows, here, norms, ahead, squared[r, i])
                for n in range(count):
                    squared[r, i, n, n] = 1 if here[n] > 0 else 0


@compiled
def _gather_rows(
    source: Source,
    k: int,
    encoders: Indices,
    items: Indices,
    means: Floats,
    factors: Floats,
    scales: Floats,
    out: Floats,
) -> None:
    """out[b, a] = scale * (factor * row - mean), zeros where either is 0; factors and scales [N, I]."""
    dimension = out.shape[2]
    for a in range(len(encoders)):  # an encoder's rows lie next to each other
        n = encoders[a]
        mean = means[n]
        for b in range(len(items)):
            i, target = items[b], out[b, a]
            if b + 1 < len(items):
                _announce(source, n, items[b + 1], k)
            elif a + 1 < len(encoders):
                _announce(source, encoders[a + 1], items[0], k)
            scale = scales[n, i]
            factor = factors[n, i] * scale
            if factor == 0:
                target[:] = 0
            else:
                row = _row(source, n, i, k, dimension)
                for p in range(dimension):
                    target[p] = factor * row[p] - scale * mean[p]


@compiled
def gather(
    full: Source,
    mask: Source,
    inverse: Source,
    roles: Indices,
    encoders: Indices,
    items: Indices,
    means: Floats,
    factors: Floats,
    scales: Floats,
    out: Floats,
) -> None:
    """out[r, b, a] = scale * (factor * row - mean) of roles[r], items[b], encoders[a].

    Zeros where a factor or scale is 0.
    """
    for place in range(len(roles)):
        r = roles[place]
        k, arrays = (r - 1) // 2, (encoders, items, means, factors[r], scales[r], out[place])
        if r == 0:
            _gather_rows(full, 0, *arrays)
        elif r % 2 == 1:
            _gather_rows(mask, k, *arrays)
        else:
            _gather_rows(inverse, k, *arrays)


@compiled
def mixed(
    source: Source, shares: Floats, means: Floats, factors: Floats, scales: Floats, out: Floats
) -> None:
    """out [I, D]: sum over encoders of share * scale * (factor * row - mean) of mask 0; [N, I] but for means.

    A share, factor or scale of 0 leaves the row out.
    """
    count, items = shares.shape
    for i in range(items):
        total = out[i]
        total[:] = 0
        for n in range(count):
            if n + 1 < count:
                _announce(source, n + 1, i, 0)
            factor, share = factors[n, i], shares[n, i] * scales[n, i]
            if factor != 0 and share != 0:
                row, mean = _row(source, n, i, 0, len(total)), means[n]
                for p in range(len(total)):
                    total[p] += share * (factor * row[p] - mean[p])
