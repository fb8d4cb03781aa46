"""Passes over answers as they came: each row is read from memory once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scoring.compiled import compiled

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

_BLOCK_ITEMS = 64
"""Rows added in float32 before the sum moves on to float64."""


@compiled
def unit_sums(
    flat: Floats, steps: tuple[int, int], norm_min: float, dealt: Bools, norms: Floats, sums: Doubles
) -> None:
    """Norms [N, I] of the rows at flat[n * steps[0] + i * steps[1]:] and, added to `sums` [N, D], unit rows.

    Only finite dealt rows longer than `norm_min` are added.
    """
    count, items = norms.shape
    dimension = sums.shape[1]
    part = np.empty(dimension, np.float32)
    for n in range(count):
        for first in range(0, items, _BLOCK_ITEMS):
            part[:] = 0
            for i in range(first, min(first + _BLOCK_ITEMS, items)):
                at = n * steps[0] + i * steps[1]
                row = flat[at : at + dimension]
                square = np.float32(0)
                for p in range(dimension):
                    square += row[p] * row[p]
                norm = np.sqrt(square)
                norms[n, i] = norm
                if dealt[i] and np.isfinite(norm) and norm > norm_min:
                    factor = np.float32(1) / norm
                    for p in range(dimension):
                        part[p] += factor * row[p]
            for p in range(dimension):
                sums[n, p] += part[p]


@compiled
def centred_norms(
    flat: Floats,
    steps: tuple[int, int],
    norm_min: float,
    means: Floats,
    norms: Floats,
    factors: Floats,
    centred: Floats,
) -> None:
    """Fill norms, the factors to unit norm (0 without a direction) and the norms once centred, [N, I] each."""
    count, items = norms.shape
    dimension = means.shape[1]
    for n in range(count):
        mean = means[n]
        for i in range(items):
            at = n * steps[0] + i * steps[1]
            row = flat[at : at + dimension]
            square = np.float32(0)
            for p in range(dimension):
                square += row[p] * row[p]
            norm = np.sqrt(square)
            factor = np.float32(0)
            rest = np.float32(0)
            if np.isfinite(norm) and norm > norm_min:
                factor = np.float32(1) / norm
                for p in range(dimension):
                    off = factor * row[p] - mean[p]
                    rest += off * off
            norms[n, i] = norm
            factors[n, i] = factor
            centred[n, i] = np.sqrt(rest)


@compiled
def gather(
    flat: Floats,
    steps: tuple[int, int],
    encoders: Indices,
    items: Indices,
    means: Floats,
    factors: Floats,
    scales: Floats,
    out: Floats,
) -> None:
    """out[b, a] = scale * (factor * row - mean) of item items[b] and encoder encoders[a]; zeros if either is 0."""
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
    steps: tuple[int, int],
    first: int,
    norm_max: float,
    valid: Bools,
    out: Floats,
    present: Bools,
) -> None:
    """Copy items first, first + 1, ... to out [b, N, D]; rows that are not valid or longer are zeros, absent."""
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
    full: Floats,
    full_steps: tuple[int, int],
    mask: Floats,
    mask_steps: tuple[int, int, int],
    inverse: Floats,
    inverse_steps: tuple[int, int, int],
    masks: int,
    dimension: int,
    out: Doubles,
) -> None:
    """out [N, I]: mean over masks of |full - mask - inverse|, differences first."""
    count, items = out.shape
    for n in range(count):
        for i in range(items):
            at = n * full_steps[0] + i * full_steps[1]
            f = full[at : at + dimension]
            total = 0.0
            for k in range(masks):
                at = n * mask_steps[0] + i * mask_steps[1] + k * mask_steps[2]
                m = mask[at : at + dimension]
                at = n * inverse_steps[0] + i * inverse_steps[1] + k * inverse_steps[2]
                v = inverse[at : at + dimension]
                square = np.float32(0)
                for p in range(dimension):
                    off = f[p] - m[p] - v[p]
                    square += off * off
                total += np.sqrt(square)
            out[n, i] = total / masks


@compiled
def recompose(
    full: Floats, mask: Floats, inverse: Floats, share: Floats, total: Floats, own: Floats, across: Floats
) -> None:
    """Cosine of each full row with hat(s m + (1 - s) v), and that one's product with `total`.

    full, mask, inverse [I, D], share [I], total [D] -> own, across [I]; 0 where the parts cancel.
    """
    items, dimension = full.shape
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
