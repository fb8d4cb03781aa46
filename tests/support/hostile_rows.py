"""Rows that break a local outlier factor: poisoned, converging, copied, far apart, too few."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """What `local_outlier_factor` takes."""

    x: Tensor
    """[B, N, D]."""
    valid: Tensor | None = None
    neighbors: int | None = None
    tolerance: float = 1e-5
    """Relative, of what two computations in float32 may differ by."""


def unit_rows(count: int, spread: float, dimension: int = 96, items: int = 3, seed: int = 0) -> Tensor:
    """Rows [items, count, dimension] at unit norm, `spread` around one point of each item."""
    draw = torch.Generator().manual_seed(seed + count)
    centre = torch.randn(items, 1, dimension, generator=draw)
    own = torch.randn(items, count, dimension, generator=draw)
    return torch.nn.functional.normalize(centre + spread * own, dim=2)


def hostile_rows(count: int) -> dict[str, Rows]:
    """Every hostile case with `count` rows an item, at least 8."""
    plain, half = unit_rows(count, 1.0), count // 2
    cases = {"plain": Rows(plain), "k beyond the rows": Rows(plain, neighbors=count + 5)}
    for name, value in (("nan", torch.nan), ("inf", torch.inf), ("3e38", 3e38), ("1e20", 1e20)):
        row, number = plain.clone(), plain.clone()
        row[:, 1], number[1:, 3, 7] = value, value
        cases[f"a row of {name}"], cases[f"a number of {name}"] = Rows(row), Rows(number)
    mostly = torch.zeros(3, count, dtype=torch.bool)
    mostly[:, ::2], mostly[1], mostly[2, 1:] = True, False, False
    cases["half, none and one valid"] = Rows(plain, mostly)
    cases["all identical"] = Rows(plain[:, :1].expand(-1, count, -1))
    cases["half identical"] = Rows(torch.cat([plain[:, :1].expand(-1, half, -1), plain[:, half:]], 1))
    cases["pairs of duplicates"] = Rows(plain[:, torch.arange(count) // 2])
    for spread in (1e-2, 1e-3, 1e-4, 1e-6):
        # Of numbers near 0.1 a float32 keeps 1e-8: a spread of 1e-6 is itself known to a few digits only, but
        # the rows are the same numbers for both.
        cases[f"all within {spread:g}"] = Rows(unit_rows(count, spread), tolerance=2e-5)
    giant = plain.clone()
    giant[:, 2] *= 1e4
    # To a row that far away all others are equally near: which is nearest is a tie.
    cases["one giant row"] = Rows(giant, tolerance=1e-4)
    groups = unit_rows(4, 1.0)[:, torch.arange(count) % 4]
    cases["four tight groups"] = Rows(groups + 1e-4 * plain, neighbors=max(1, count // 4 - 1), tolerance=2e-5)
    return cases
