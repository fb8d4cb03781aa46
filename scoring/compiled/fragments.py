"""What an item's full view, mask and inverse say of each other and of the shard's medians."""

from __future__ import annotations

import numpy as np

from scoring.compiled import compiled
from scoring.compiled.rows import Bools, Doubles, Floats

_NORM_MIN = np.float32(1e-6)
_SQUARE_MIN = np.float32(1e-6)
"""As in `scoring.projection`: below these the rest of a unit vector is rounding."""
_SQUARINGS = 14
"""exp(x) is the 2^14-th power of exp(x / 2^14), whose series is short."""
_2, _3, _4, _5, _6 = 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6


@compiled
def total_of(rows: Floats, counted: Bools, out: Floats) -> None:
    """Sum of the counted rows: [I, D], [I] -> out [D]."""
    out[:] = 0
    for i in range(len(rows)):
        if counted[i]:
            row = rows[i]
            for p in range(len(out)):
                out[p] += row[p]


@compiled
def recompose(
    full: Floats, mask: Floats, inverse: Floats, share: Floats, total: Floats, own: Floats, across: Floats
) -> None:
    """Cosine of each full row with r = hat(s m + (1 - s) v), and product of r with the total [D].

    full, mask, inverse [I, D], share [I] -> own, across [I]; 0 where the parts cancel.
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
        scale = np.float32(1) / max(np.sqrt(square), _NORM_MIN)
        own[i] = along * scale
        across[i] = over * scale


@compiled
def _likely(cosine: Floats, counted: Bools, temperature: float, out: Doubles) -> None:
    """out[j] = exp((cosine[j] - 1) / temperature) where counted, else 0, in float64. The largest is 1."""
    step = 1 / (temperature * (1 << _SQUARINGS))
    for j in range(len(out)):
        x = (np.float64(cosine[j]) - 1) * step
        power = 1 + x * (1 + x * _2 * (1 + x * _3 * (1 + x * _4 * (1 + x * _5 * (1 + x * _6)))))
        for _ in range(_SQUARINGS):  # a constant: unrolled, they stay in registers
            power *= power
        out[j] = power if counted[j] else 0.0


@compiled
def info_nce(cosines: Floats, counted: Bools, temperatures: Doubles, out: Doubles) -> None:
    """Mean InfoNCE of both directions: cosines [N, b, b], counted [N, b] -> out [N, temperatures].

    0 where nothing is counted.
    """
    encoders, items, _ = cosines.shape
    row, columns = np.empty(items), np.empty(items)
    for n in range(encoders):
        here, count = counted[n], 0
        for i in range(items):
            count += here[i]
        for t in range(len(temperatures)):
            total = 0.0
            columns[:] = 0
            for i in range(items):
                if here[i]:
                    _likely(cosines[n, i], here, temperatures[t], row)
                    over = 0.0
                    for j in range(items):
                        over += row[j]
                        columns[j] += row[j]
                    own = (np.float64(cosines[n, i, i]) - 1) / temperatures[t]
                    total += np.log(over) / 2 - own
            for j in range(items):
                if here[j]:
                    total += np.log(columns[j]) / 2
            out[n, t] = total / max(count, 1)


@compiled
def _product(a: Floats, b: Floats) -> np.float32:
    """Inner product of two rows [D]."""
    total = np.float32(0)
    for p in range(len(a)):
        total += a[p] * b[p]
    return total


@compiled
def _to_unit_norm(row: Floats) -> None:
    """Divide a row [D] by its norm; zeros stay zeros."""
    length = max(np.float32(np.sqrt(_product(row, row))), _NORM_MIN)
    for p in range(len(row)):
        row[p] = row[p] / length


@compiled
def _without(row: Floats, axis: Floats, out: Floats) -> None:
    """Unit row less its part along the unit axis, at unit norm: [D], [D] -> out [D]."""
    along = _product(row, axis)
    for p in range(len(row)):
        out[p] = row[p] - along * axis[p]
    _to_unit_norm(out)


@compiled
def _rest(cosine: np.float32) -> np.float32:
    """Norm of what is left of a unit vector whose cosine with the axis taken out is given."""
    return np.float32(np.sqrt(max(np.float32(1) - cosine * cosine, _SQUARE_MIN)))


@compiled
def _terms(
    fragment: Floats, full: Floats, new: Floats, median: Floats, foreign: Floats
) -> tuple[np.float32, np.float32]:
    """Innovation and leak of a fragment, from the targets `new` and `foreign` and the role's median."""
    along = agreement = common = own = other = np.float32(0)
    for p in range(len(fragment)):
        x, f, target = fragment[p], full[p], new[p]
        along += x * f
        agreement += x * target
        common += f * target
        own += x * median[p]
        other += x * foreign[p]
    return (agreement - along * common) / _rest(along), other / _rest(own)


@compiled
def median_terms(rows: Floats, middles: Floats, innovation: Floats, leak: Floats) -> None:
    """Innovation and leak [2, B, N] of masks and inverses: unit full views, masks, inverses [3, B, N, D].

    middles [3, B, D]: the medians of the roles, which get unit norm here. The formulas are those of
    `scoring.innovation` and `scoring.leak`.
    """
    _, items, count, dimension = rows.shape
    new, foreign = np.empty(dimension, np.float32), np.empty(dimension, np.float32)
    for role in range(3):
        for b in range(items):
            _to_unit_norm(middles[role, b])
    for fragment in range(2):
        for b in range(items):
            median, other = middles[1 + fragment, b], middles[2 - fragment, b]
            _without(median, middles[0, b], new)
            _without(other, median, foreign)
            for n in range(count):
                row, full = rows[1 + fragment, b, n], rows[0, b, n]
                terms = _terms(row, full, new, median, foreign)
                innovation[fragment, b, n], leak[fragment, b, n] = terms
