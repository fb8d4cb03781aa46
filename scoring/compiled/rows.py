"""Passes over answers as they came: each row is read from memory once."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scoring.compiled import compiled, compiled_in_order, prefetch

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Source: TypeAlias = tuple[Floats, tuple[int, ...]]
"""Numbers as they lie and the steps from encoder to encoder, item to item and mask to mask.

Roles are numbered as in `Views.roles`: the full view, mask 0, inverse 0, mask 1, .... Loops run over the rows
of one source: to take each row from one of three costs as much as a third of reading it.
"""

_BLOCK_ITEMS = 64
"""Rows added in float32 before the sum moves on to float64."""
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
def _norm(row: Floats) -> np.float32:
    """Euclidean norm of a row [D]; NaN or Inf if it holds one or overflows."""
    square = np.float32(0)
    for p in range(len(row)):
        square += row[p] * row[p]
    return np.float32(np.sqrt(square))


@compiled
def _weigh(
    source: Source,
    role: int,
    count: int,
    n: int,
    i: int,
    dimension: int,
    norm_min: float,
    norms: Floats,
    factors: Floats,
) -> bool:
    """Norms and factors to unit norm of an item's roles `role`, `role` + 2, ...; whether all are finite."""
    known = True
    for k in range(count):
        if k + 1 < count:
            _announce(source, n, i, k + 1)
        r, norm = role + 2 * k, _norm(_row(source, n, i, k, dimension))
        norms[r, n, i] = norm
        pointed = np.isfinite(norm) and norm > norm_min
        factors[r, n, i] = np.float32(1) / norm if pointed else np.float32(0)
        known = known and np.isfinite(norm)
    return known


@compiled
def _add_units(
    source: Source, role: int, count: int, n: int, i: int, dealt: Bools, factors: Floats, total: Floats
) -> None:
    """Add an item's unit answers in roles `role`, `role` + 2, ... that it has to total [D]."""
    for k in range(count):
        r = role + 2 * k
        factor = factors[r, n, i]
        if factor > 0 and dealt[r, i]:
            row = _row(source, n, i, k, len(total))
            for p in range(len(total)):
                total[p] += factor * row[p]


@compiled
def _literal_loss(
    full: Source, mask: Source, inverse: Source, masks: int, n: int, i: int, dimension: int
) -> float:
    """Mean over masks of |full - mask - inverse|, differences first."""
    f, total = _row(full, n, i, 0, dimension), 0.0
    for k in range(masks):
        m, v = _row(mask, n, i, k, dimension), _row(inverse, n, i, k, dimension)
        square = np.float32(0)
        for p in range(dimension):
            off = f[p] - m[p] - v[p]
            square += off * off
        total += np.sqrt(square)
    return total / max(1, masks)


@compiled
def first_look(
    full: Source,
    mask: Source,
    inverse: Source,
    norm_min: float,
    dealt: Bools,
    norms: Floats,
    factors: Floats,
    sums: Doubles,
    losses: Doubles,
) -> None:
    """What can be said of answers before their means are known, while an item's rows are in the cache.

    Norms [R, N, I], factors to unit norm (0 without a direction), the sums [N, D] of the unit answers in
    roles that the item has, dealt [R, I], and literal losses [N, I], NaN of poisoned answers.
    """
    roles, count, items = norms.shape
    masks, dimension = (roles - 1) // 2, sums.shape[1]
    part = np.empty(dimension, np.float32)
    for n in range(count):
        for first in range(0, items, _BLOCK_ITEMS):
            part[:] = 0
            for i in range(first, min(first + _BLOCK_ITEMS, items)):
                known = _weigh(full, 0, 1, n, i, dimension, norm_min, norms, factors)
                known = _weigh(mask, 1, masks, n, i, dimension, norm_min, norms, factors) and known
                known = _weigh(inverse, 2, masks, n, i, dimension, norm_min, norms, factors) and known
                if i + 1 < items:
                    _announce(full, n, i + 1, 0)
                _add_units(full, 0, 1, n, i, dealt, factors, part)
                _add_units(mask, 1, masks, n, i, dealt, factors, part)
                _add_units(inverse, 2, masks, n, i, dealt, factors, part)
                losses[n, i] = _literal_loss(full, mask, inverse, masks, n, i, dimension) if known else np.nan
            for p in range(dimension):
                sums[n, p] += part[p]


@compiled
def literal_losses(
    full: Source, mask: Source, inverse: Source, masks: int, dimension: int, out: Doubles
) -> None:
    """out [N, I]: mean over masks of |full - mask - inverse|; NaN of poisoned answers."""
    count, items = out.shape
    for n in range(count):
        for i in range(items):  # into the cache one after the other, as three at a time are slow
            known = np.isfinite(_norm(_row(full, n, i, 0, dimension)))
            for k in range(masks):
                known = np.isfinite(_norm(_row(mask, n, i, k, dimension))) and known
            for k in range(masks):
                known = np.isfinite(_norm(_row(inverse, n, i, k, dimension))) and known
            out[n, i] = _literal_loss(full, mask, inverse, masks, n, i, dimension) if known else np.nan


@compiled
def _products(a: Floats, b: Floats, p: Floats, q: Floats, r: Floats, s: Floats) -> tuple[np.float32, ...]:
    """Inner products of two rows with four: a register each, six loads for eight products."""
    ap = aq = ar = as_ = bp = bq = br = bs = np.float32(0)
    for t in range(len(a)):
        x, y = a[t], b[t]
        ap += x * p[t]
        aq += x * q[t]
        ar += x * r[t]
        as_ += x * s[t]
        bp += y * p[t]
        bq += y * q[t]
        br += y * r[t]
        bs += y * s[t]
    return ap, aq, ar, as_, bp, bq, br, bs


@compiled
def _gram(x: Floats, out: Floats) -> None:
    """Inner products of every two rows: x [N, D] -> out [N, N], the upper triangle."""
    count, dimension = x.shape
    last = count - 1
    out[:] = 0
    block = max(64, _CACHED // max(1, count) // 64 * 64)
    for start in range(0, dimension, block):
        end = min(start + block, dimension)
        for j in range(0, count, 4):  # four rows in L1, all rows before them passing by in pairs
            k, m, n = min(j + 1, last), min(j + 2, last), min(j + 3, last)
            p, q, r, s = x[j, start:end], x[k, start:end], x[m, start:end], x[n, start:end]
            for i in range(0, min(j + 4, count), 2):
                h = min(i + 1, last)
                a, b, c, d, e, f, g, o = _products(x[i, start:end], x[h, start:end], p, q, r, s)
                one, two = out[i], out[h]
                # Beyond the last row it stands in for the others: read before they are written.
                one[j], one[k], one[m], one[n], two[j], two[k], two[m], two[n] = (
                    one[j] + a,
                    one[k] + b,
                    one[m] + c,
                    one[n] + d,
                    two[j] + e,
                    two[k] + f,
                    two[m] + g,
                    two[n] + o,
                )


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
def _squared_distances(x: Floats, scales: Floats, norms: Floats, out: Floats) -> None:
    """Of rows x [N, D] times scales [N] -> out [N, N], the rows' squared norms [N] on the diagonal too.

    From products, which take less time than differences; pairs that these would leave too few digits of are
    subtracted, for which the rows are scaled where they lie.
    """
    count, scaled = len(x), False
    _gram(x, out)
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
    for item in range(items):
        _squared_distances(x[item], ones, norms, out[item])
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
                _squared_distances(rows, here, norms, squared[r, i])
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
