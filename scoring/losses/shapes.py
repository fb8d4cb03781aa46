"""What the losses ask of their rows, and distances whose gradient is finite everywhere."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from scoring.errors import ScoringError

SQUARED_MIN: Final = 1e-24
"""Below this squared distance the root's gradient is cut off: at 0 it would be infinite."""


def checked(*rows: Tensor) -> None:
    """Raise ScoringError unless all are [n, d] alike, with n of 1 or more."""
    first = rows[0]
    if first.ndim != 2 or len(first) == 0 or any(one.shape != first.shape for one in rows):
        shapes = ", ".join(str(list(one.shape)) for one in rows)
        raise ScoringError(f"a loss takes rows [n, d] of one shape, not {shapes}: give one row for each item")


def squared_distance(a: Tensor, b: Tensor) -> Tensor:
    """||a_i - b_i||^2, [n, d] and [n, d] -> [n]."""
    return (a - b).square().sum(dim=1)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """||a_i - b_i||, [n, d] and [n, d] -> [n]; with gradient 0 where the rows are the same."""
    return root(squared_distance(a, b))


def root(squared: Tensor) -> Tensor:
    """The square root, with gradient 0 at 0."""
    return squared.clamp_min(SQUARED_MIN).sqrt()


def others(count: int, like: Tensor) -> Tensor:
    """[n, n]: every other item is a negative."""
    return ~torch.eye(count, dtype=torch.bool, device=like.device)


def checked_negatives(negatives: Tensor | None, rows: Tensor) -> Tensor:
    """[n, n] bool, True where j is a negative of i; every other item by default.

    Raises ScoringError for another shape, and where an item is its own negative.
    """
    if negatives is None:
        return others(len(rows), rows)
    if negatives.shape != (len(rows), len(rows)) or negatives.dtype != torch.bool:
        raise ScoringError(
            f"negatives are bool [{len(rows)}, {len(rows)}], not {negatives.dtype} {list(negatives.shape)}: "
            "say for each pair of items whether they differ"
        )
    if bool(negatives.diagonal().any()):
        raise ScoringError("an item is its own negative: the diagonal of the negatives has to be False")
    return negatives
