"""Passes over answers as they came: each row is read from memory once."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from scoring.compiled import compiled

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Source: TypeAlias = tuple[Floats, tuple[int, ...]]
"""Numbers as they lie and the steps from encoder to encoder, item to item and mask to mask."""

_BLOCK_ITEMS = 64
"""Rows added in float32 before the sum moves on to float64."""


@compiled
def _role(r: int, n: int, i: int, dimension: int, full: Source, mask: Source, inverse: Source) -> Floats:
    """Row of encoder n, item i in role r: the full view, mask 0, inverse 0, mask 1, inverse 1, ...."""
    k = (r - 1) // 2
    if r == 0:
        at = n * full[1][0] + i * full[1][1]
        return full[0][at : at + dimension]
    if r % 2 == 1:
        at = n * mask[1][0] + i * mask[1][1] + k * mask[1][2]
        return mask[0][at : at + dimension]
    at = n * inverse[1][0] + i * inverse[1][1] + k * inverse[1][2]
    return inverse[0][at : at + dimension]


@compiled
def unit_sums(
    full: Source, mask: Source, inverse: Source, norm_min: float, dealt: Bools, norms: Floats, sums: Doubles
) -> None:
    """Norms [R, N, I] of the answers in all roles and the sums [N, D] of the unit answers.

    Only finite answers longer than `norm_min` in roles that the item has, dealt [R, I], are added.
    """
    roles, count, items = norms.shape
    dimension = sums.shape[1]
    part = np.empty(dimension, np.float32)
    for n in range(count):
        for first in range(0, items, _BLOCK_ITEMS):
            part[:] = 0
            for i in range(first, min(first + _BLOCK_ITEMS, items)):
                for r in range(roles):  # an item's answers lie next to each other
                    row = _role(r, n, i, dimension, full, mask, inverse)
                    square = np.float32(0)
                    for p in range(dimension):
                        square += row[p] * row[p]
                    norm = np.sqrt(square)
                    norms[r, n, i] = norm
                    if dealt[r, i] and np.isfinite(norm) and norm > norm_min:
                        factor = np.float32(1) / norm
                        for p in range(dimension):
                            part[p] += factor * row[p]
            for p in range(dimension):
                sums[n, p] += part[p]


@compiled
def centred_norms(
    full: Source,
    mask: Source,
    inverse: Source,
    norm_min: float,
    means: Floats,
    norms: Floats,
    factors: Floats,
    centred: Floats,
) -> None:
    """Norms, factors to unit norm (0 without a direction) and norms once centred, [R, N, I] each."""
    roles, count, items = norms.shape
    dimension = means.shape[1]
    for n in range(count):
        mean = means[n]
        for i in range(items):
            for r in range(roles):
                row = _role(r, n, i, dimension, full, mask, inverse)
                square = np.float32(0)
                for p in range(dimension):
                    square += row[p] * row[p]
                norm, factor, rest = np.sqrt(square), np.float32(0), np.float32(0)
                if np.isfinite(norm) and norm > norm_min:
                    factor = np.float32(1) / norm
                    for p in range(dimension):
                        off = factor * row[p] - mean[p]
                        rest += off * off
                norms[r, n, i] = norm
                factors[r, n, i] = factor
                centred[r, n, i] = np.sqrt(rest)


@compiled
def gather(
    flat: Floats,
    steps: tuple[int, ...],
    encoders: Indices,
    items: Indices,
    means: Floats,
    factors: Floats,
    scales: Floats,
    out: Floats,
) -> None:
    """out[b, a] = scale * (factor * row - mean) of items[b] and encoders[a]; zeros if a factor is 0."""
    dimension = out.shape[2]
    for a in range(len(encoders)):  # an encoder's rows lie next to each other
        for b in range(len(items)):
            n, i = encoders[a], items[b]
            at = n * steps[0] + i * steps[1]
            row, mean, target = flat[at : at + dimension], means[n], out[b, a]
            scale = scales[n, i]
            factor = factors[n, i] * scale
            if factor == 0:
                target[:] = 0
            else:
                for p in range(dimension):
                    target[p] = factor * row[p] - scale * mean[p]


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
def literal_losses(
    full: Source, mask: Source, inverse: Source, masks: int, dimension: int, out: Doubles
) -> None:
    """out [N, I]: mean over masks of |full - mask - inverse|, differences first."""
    count, items = out.shape
    for n in range(count):
        for i in range(items):
            f = _role(0, n, i, dimension, full, mask, inverse)
            total = 0.0
            for k in range(masks):
                m = _role(2 * k + 1, n, i, dimension, full, mask, inverse)
                v = _role(2 * k + 2, n, i, dimension, full, mask, inverse)
                square = np.float32(0)
                for p in range(dimension):
                    off = f[p] - m[p] - v[p]
                    square += off * off
                total += np.sqrt(square)
            out[n, i] = total / masks


@compiled
def recompose(
    full: Floats, mask: Floats, inverse: Floats, share: Floats, counted: Bools, own: Floats, across: Floats
) -> None:
    """Cosine of each full row with r = hat(s m + (1 - s) v), and product of r with the sum of counted fulls.

    full, mask, inverse [I, D], share [I], counted [I] -> own, across [I]; 0 where the parts cancel.
    """
    items, dimension = full.shape
    total = np.zeros(dimension, np.float32)
    for i in range(items):
        if counted[i]:
            f = full[i]
            for p in range(dimension):
                total[p] += f[p]
    for i in range(items):
        f, m, v, s = full[i], mask[i], inverse[i], share[i]
        rest = np.float32(1) - s
        square, along, over = np.float32(0), np.float32(0), np.float32(0)
        for p in range(dimension):
            whole = s * m[p] + rest * v[p]
            square += whole * whole
            along += whole * f[p]
            over += whole * total[p]
        scale = np.float32(1) / max(np.sqrt(square), np.float32(1e-6))
        own[i] = along * scale
        across[i] = over * scale


@compiled
def row_products(a: Floats, b: Floats, out: Floats) -> None:
    """Inner products, row by row: a, b [M, D] -> out [M]."""
    for i in range(len(out)):
        x, y = a[i], b[i]
        total = np.float32(0)
        for p in range(x.shape[0]):
            total += x[p] * y[p]
        out[i] = total


@compiled
def item_products(rows: Floats, targets: Floats, out: Floats) -> None:
    """Inner products of each row with its item's target: rows [B, N, D], targets [B, D] -> out [B, N]."""
    for b in range(out.shape[0]):
        for n in range(out.shape[1]):
            x, y = rows[b, n], targets[b]
            total = np.float32(0)
            for p in range(x.shape[0]):
                total += x[p] * y[p]
            out[b, n] = total
