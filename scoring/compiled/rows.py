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
def _in_memory(place: int, roles: int) -> int:
    """Role at this place of an item's answers as they lie: the full view, the masks, then the inverses.

    Rows are read in this order, so that the processor foresees the next one.
    """
    masks = (roles - 1) // 2
    if place == 0:
        return 0
    return 2 * place - 1 if place <= masks else 2 * (place - masks)


@compiled
def _norm(row: Floats) -> np.float32:
    """Euclidean norm of a row [D]; NaN or Inf if it holds one or overflows."""
    square = np.float32(0)
    for p in range(len(row)):
        square += row[p] * row[p]
    return np.float32(np.sqrt(square))


@compiled
def unit_sums(
    full: Source, mask: Source, inverse: Source, norm_min: float, dealt: Bools, norms: Floats, sums: Doubles
) -> None:
    """Norms [R, N, I] of the answers in all roles and the sums [N, D] of the unit answers.

    Only finite answers longer than `norm_min` in roles that the item has, dealt [R, I], are added.
    """
    roles, count, items = norms.shape
    dimension = sums.shape[1]
    part, factors = np.empty(dimension, np.float32), np.empty(roles, np.float32)
    for n in range(count):
        for first in range(0, items, _BLOCK_ITEMS):
            part[:] = 0
            for i in range(first, min(first + _BLOCK_ITEMS, items)):
                for place in range(roles):
                    r = _in_memory(place, roles)
                    norm = _norm(_role(r, n, i, dimension, full, mask, inverse))
                    norms[r, n, i] = norm
                    counts = dealt[r, i] and np.isfinite(norm) and norm > norm_min
                    factors[r] = np.float32(1) / norm if counts else np.float32(0)
                # From memory and in a loop of its own, or the compiler divides by the norm instead.
                for r in range(roles):
                    factor = factors[r]
                    if factor > 0:
                        row = _role(r, n, i, dimension, full, mask, inverse)
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
            for place in range(roles):
                r = _in_memory(place, roles)
                norm = _norm(_role(r, n, i, dimension, full, mask, inverse))
                norms[r, n, i] = norm
                known = np.isfinite(norm) and norm > norm_min
                factors[r, n, i] = np.float32(1) / norm if known else np.float32(0)
            for r in range(roles):
                factor, rest = factors[r, n, i], np.float32(0)
                if factor > 0:
                    row = _role(r, n, i, dimension, full, mask, inverse)
                    for p in range(dimension):
                        off = factor * row[p] - mean[p]
                        rest += off * off
                centred[r, n, i] = np.sqrt(rest)


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
    dimension = out.shape[3]
    order, kinds = np.empty(len(roles), np.int64), 0
    for kind in range(3):  # full views, masks, inverses: as they lie in memory
        for place in range(len(roles)):
            if kind == (0 if roles[place] == 0 else 2 - roles[place] % 2):
                order[kinds] = place
                kinds += 1
    for a in range(len(encoders)):  # an encoder's rows lie next to each other
        n = encoders[a]
        mean = means[n]
        for b in range(len(items)):
            i = items[b]
            for at in range(len(order)):
                place = order[at]
                r = roles[place]
                row, target = _role(r, n, i, dimension, full, mask, inverse), out[place, b, a]
                scale = scales[r, n, i]
                factor = factors[r, n, i] * scale
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
    """out [N, I]: mean over masks of |full - mask - inverse|, differences first; NaN of poisoned answers."""
    count, items = out.shape
    roles = 2 * masks + 1
    for n in range(count):
        for i in range(items):
            known = True
            for place in range(roles):  # into the cache one after the other, as three at a time are slow
                r = _in_memory(place, roles)
                known = np.isfinite(_norm(_role(r, n, i, dimension, full, mask, inverse))) and known
            f = _role(0, n, i, dimension, full, mask, inverse)
            total = 0.0 if known else np.nan
            for k in range(masks if known else 0):
                m = _role(2 * k + 1, n, i, dimension, full, mask, inverse)
                v = _role(2 * k + 2, n, i, dimension, full, mask, inverse)
                square = np.float32(0)
                for p in range(dimension):
                    off = f[p] - m[p] - v[p]
                    square += off * off
                total += np.sqrt(square)
            out[n, i] = total / masks
