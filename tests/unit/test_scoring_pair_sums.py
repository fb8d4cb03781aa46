"""Half a table of pairs: rows, copies and decisions are those of whole tables, by however many rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scoring import HARDENED, pair_sums
from scoring.clones import heard_by_medians, likeness
from scoring.compiled.pairs import add_across
from scoring.pair_sums import mirrored, row_slices, rows_from_below
from scoring.rule import Ramp

COUNTS, ROWS, SEEDS = st.integers(1, 9), st.integers(1, 10), st.integers(0, 2**31)


def symmetric(count: int, seed: int) -> Tensor:
    """Numbers of pairs, 0 on the diagonal."""
    square = torch.rand(count, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (square + square.T).fill_diagonal_(0)


@given(count=COUNTS, rows=ROWS, seed=SEEDS)
def test_rows_from_below__are_those_of_the_symmetric_table(count: int, rows: int, seed: int) -> None:
    whole = symmetric(count, seed)
    table = whole.tril() + torch.ones(count, count, dtype=torch.float64).triu() * 7  # another's, above
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_sums, "_ROWS", rows)
        found = torch.cat([rows_from_below(table, part) for part in row_slices(count)])
    assert torch.equal(found, whole)


@given(count=COUNTS, rows=ROWS, seed=SEEDS)
def test_mirrored__copies_what_is_above_the_diagonal(count: int, rows: int, seed: int) -> None:
    whole = symmetric(count, seed)
    table = whole.triu() + torch.ones(count, count, dtype=torch.float64).tril(-1) * 7
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_sums, "_ROWS", rows)
        assert torch.equal(mirrored(table), whole)


@given(count=COUNTS, seed=SEEDS)
def test_add_across__gathers_one_role_after_another(count: int, seed: int) -> None:
    table, roles = (
        torch.zeros(count, count, dtype=torch.float64),
        [symmetric(count, seed + r) for r in (0, 1)],
    )
    for role in roles:
        table += role.tril(-1)
        add_across(table.numpy())
    assert torch.equal(table, (roles[0] + roles[1]).triu())


@given(count=COUNTS, rows=ROWS, seed=SEEDS)
@settings(max_examples=50)
def test_decisions__are_the_same_a_few_rows_at_a_time(count: int, rows: int, seed: int) -> None:
    draw, ramp = torch.Generator().manual_seed(seed), Ramp(0.1, 0.6)
    here = (torch.rand(count, 5, generator=draw) < 0.8).double()
    cosine = symmetric(count, seed) / 2
    sums = cosine * (here @ here.T)
    heard, alike = heard_by_medians(sums, here, HARDENED), likeness(sums.clone(), here, ramp)
    shared = (here @ here.T) > 0
    expected = torch.where(shared, ramp(cosine), 0.0).fill_diagonal_(1)
    torch.testing.assert_close(alike, expected, rtol=0.0, atol=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_sums, "_ROWS", rows)
        assert np.array_equal(heard_by_medians(sums, here, HARDENED), heard)
        assert torch.equal(likeness(sums.clone(), here, ramp), alike)
