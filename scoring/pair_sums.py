"""One number for each pair of encoders, in half a table: what takes the most memory where they are many."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from scoring.memory import slices_of

_ROWS = 64
"""Rows of a table that are worked on at a time."""


def row_slices(count: int) -> Iterator[slice]:
    """Cut the rows of a table [n, n] into parts that take little memory."""
    return slices_of(count, _ROWS)


def rows_from_below(table: Tensor, part: slice) -> Tensor:
    """Rows of the symmetric table that stands below the diagonal of `table` [n, n]; 0 on it. -> [b, n]."""
    start = part.start
    return table[part].tril(start - 1) + table[:, part].tril(-start - 1).T


def mirrored(table: Tensor) -> Tensor:
    """Copy what is above the diagonal [n, n] below it, in place."""
    for part in row_slices(len(table)):
        table[part.stop :, part] = table[part, part.stop :].T
        square = table[part, part]
        square.copy_(square.triu() + square.triu(1).T)
    return table
