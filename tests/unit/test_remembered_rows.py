"""Rows remembered between refits: the right ones, and room for no others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from node.model_process.remembered import RememberedRows

NAMES = st.lists(st.integers(0, 12), unique=True, max_size=10)


def row(name: int, width: int) -> np.ndarray:
    return np.full(width, float(name), np.float32)


@given(st.lists(st.tuples(NAMES, st.sets(st.integers(0, 9))), max_size=6))
def test_rows__are_those_of_their_items_after_any_refits(refits: list[tuple[list[int], set[int]]]) -> None:
    rows, model = RememberedRows(3, 5), set[int]()
    for names, embedded in refits:
        rows.keep([bytes([name]) for name in names])
        model &= set(names)
        assert {names[place] for place in rows.missing()} == set(names) - model
        places = np.array([place for place in rows.missing() if place in embedded], np.int64)
        rows.put(places, *(np.array([row(names[p], w) for p in places]).reshape(-1, w) for w in (3, 5)))
        model |= {names[place] for place in places}
        known, kinds = rows.known()
        assert [name for name, here in zip(names, known, strict=True) if here] == [
            name for name in names if name in model
        ]
        for width, kind in zip((3, 5), kinds, strict=True):
            wanted = [row(name, width) for name in names if name in model]
            np.testing.assert_array_equal(kind, np.array(wanted, np.float32).reshape(-1, width))
        assert rows.size_bytes == 4 * (3 + 5) * len(names)


def test_all_known__are_given_without_a_copy() -> None:
    rows = RememberedRows(4)
    rows.keep([b"a", b"b"])
    rows.put(rows.missing(), np.ones((2, 4), np.float32))
    assert rows.known()[1][0] is rows.known()[1][0]
