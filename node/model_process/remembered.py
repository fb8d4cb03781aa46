"""Rows that a model gave once, remembered from one refit to the next in memory of a known size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class RememberedRows:
    """Of each item one row of every kind, float32, in the order of the items; nothing of other items.

    The rows lie in one array a kind. Kept one by one they would hold whole batches alive, and leave holes in
    the C library's memory when they go.
    """

    def __init__(self, *dimensions: int) -> None:
        self._names: tuple[bytes, ...] = ()
        self._known = np.zeros(0, dtype=bool)
        self._kinds = [np.zeros((0, width), np.float32) for width in dimensions]

    @property
    def size_bytes(self) -> int:
        """Of all rows there is room for."""
        return sum(rows.nbytes for rows in self._kinds)

    def keep(self, names: Sequence[bytes]) -> None:
        """From now on these items, in this order; what is known of the others is forgotten."""
        before = {name: place for place, name in enumerate(self._names) if self._known[place]}
        found = [(place, before[name]) for place, name in enumerate(names) if name in before]
        here = np.array([place for place, _ in found], np.int64)
        there = np.array([place for _, place in found], np.int64)
        self._names = tuple(names)
        self._known = np.zeros(len(names), dtype=bool)
        self._known[here] = True
        for kind, rows in enumerate(self._kinds):
            kept = np.zeros((len(names), rows.shape[1]), np.float32)
            kept[here] = rows[there]
            self._kinds[kind] = kept  # one kind after the other: what was there goes before the next comes

    def missing(self) -> NDArray[np.int64]:
        """The places of items whose rows are not here, ascending."""
        return np.flatnonzero(~self._known)

    def put(self, places: NDArray[np.int64], *kinds: NDArray[np.float32]) -> None:
        """Rows [n, width] of each kind for the items at these places."""
        for rows, given in zip(self._kinds, kinds, strict=True):
            rows[places] = given
        self._known[places] = True

    def known(self) -> tuple[NDArray[np.bool_], list[NDArray[np.float32]]]:
        """Whose rows are here, bool [items], and their rows of each kind [n, width], not to be changed."""
        if self._known.all():
            return self._known, list(self._kinds)
        return self._known, [rows[self._known] for rows in self._kinds]
