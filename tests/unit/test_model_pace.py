"""How many views a model is given at once, and the memory its answers are written to."""

from __future__ import annotations

import fcntl
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.encoders import DIMENSIONS, EncoderError
from node.model_process import slab as module
from node.model_process.pace import SLICES, VIEWS_FIRST, Pace
from node.model_process.slab import Slab


@given(
    st.integers(1, 512),
    st.floats(0.05, 60),
    st.lists(st.floats(1e-7, 100), min_size=1, max_size=30),
)
def test_pace__stays_within_its_bounds_whatever_batches_take(
    views_max: int, within_s: float, per_view_s: list[float]
) -> None:
    pace = Pace(views_max, within_s)
    assert pace.views <= VIEWS_FIRST
    for one in per_view_s:
        before = pace.views
        pace.took(before, before * one)
        assert 1 <= pace.views <= min(views_max, 2 * before)
        # No batch is to take more than a slice at the speed just seen, unless a single view does.
        assert pace.views == 1 or pace.views * one <= within_s / SLICES * (1 + 1e-9)


def test_pace__of_a_fast_model_reaches_the_most_and_stays_there() -> None:
    pace = Pace(64, 5.0)
    seen = []
    for _ in range(5):
        seen.append(pace.views)
        pace.took(pace.views, pace.views * 1e-4)
    assert seen == [8, 16, 32, 64, 64]
    pace.took(3, 0.0)  # a clock that did not move
    assert pace.views == 64


def test_slab__is_shared_grows_and_keeps_what_was_handed_out() -> None:
    mine = Slab.new()
    other = Slab(os.dup(mine.descriptor))
    first = mine.rows(2)
    first[:] = 7
    grown = other.rows(5)
    np.testing.assert_array_equal(grown[:2], first)
    grown[4] = 3
    np.testing.assert_array_equal(mine.rows(5)[4], np.full(DIMENSIONS, 3, np.float32))
    mine.close()
    other.close()
    mine.close()  # twice is once
    assert first[0, 0] == 7
    with pytest.raises(OSError, match="Bad file descriptor"):
        mine.rows(6)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory is sealed where the system can")
def test_slab__cannot_be_cut_short_and_grows_whatever_the_other_end_forbids() -> None:
    mine = Slab.new()
    other = os.dup(mine.descriptor)
    try:
        mine.rows(2)
        with pytest.raises(PermissionError):
            os.ftruncate(other, 0)
        with pytest.raises(PermissionError):
            fcntl.fcntl(other, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        assert mine.rows(3).sum() == 0
    finally:
        os.close(other)
        mine.close()


def test_slab__refuses_more_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLAB_BYTES_MAX", 2 * module.ROW_BYTES)
    slab = Slab.new()
    try:
        assert slab.rows(2).shape == (2, DIMENSIONS)
        with pytest.raises(EncoderError, match="3 views at once are over"):
            slab.rows(3)
    finally:
        slab.close()
