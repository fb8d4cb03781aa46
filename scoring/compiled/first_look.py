"""The first pass over answers as they came: norms, sums and literal losses, while a row is in the cache."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled, prefetch
from scoring.compiled.rows import Bools, Doubles, Floats, Source

_BLOCK_ITEMS = 64
"""Rows added in float32 before the sum moves on to float64."""
_LINE, _LINES = 16, 6
"""As in `rows`, where `_row` and `_announce` stand too: a kernel calls nothing from another file."""


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
