"""Spectral shaping: its formula, its invariances, and what it does with too little to learn from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scoring.shaping import fit_shaping, no_shaping

torch.set_num_threads(1)

seeds = st.integers(0, 2**16)


def vectors(items: int, dimension: int, seed: int) -> Tensor:
    """Consensus vectors whose directions differ widely in how much they vary, off the origin."""
    draw = torch.Generator().manual_seed(seed)
    strength = torch.logspace(0, -2, dimension)
    return torch.randn(items, dimension, generator=draw) * strength + torch.randn(dimension, generator=draw)


@settings(max_examples=25, deadline=None)
@given(items=st.integers(3, 60), dimension=st.integers(2, 24), seed=seeds, power=st.floats(0.05, 0.5))
def test_transform__is_the_formula_up_to_a_factor(
    items: int, dimension: int, seed: int, power: float
) -> None:
    rows = vectors(items, dimension, seed)
    covariance = torch.cov(rows.double().T, correction=0).reshape(dimension, dimension)
    ridged = covariance + 0.01 * covariance.trace() / dimension * torch.eye(dimension, dtype=torch.float64)
    transform = fit_shaping(rows, power).transform
    # T is a power of the ridged covariance, times a number.
    spread, directions = torch.linalg.eigh(ridged)
    product = transform @ (directions * spread**power) @ directions.T
    torch.testing.assert_close(product, product[0, 0] * torch.eye(dimension, dtype=torch.float64))


@settings(max_examples=25, deadline=None)
@given(items=st.integers(1, 60), seed=seeds)
def test_apply__gives_unit_rows_with_fewer_items_than_dimensions_too(items: int, seed: int) -> None:
    shaping = fit_shaping(vectors(items, 24, seed))
    published = shaping.apply(vectors(7, 24, seed + 1))
    assert published.dtype is torch.float32
    torch.testing.assert_close(torch.linalg.vector_norm(published, dim=1), torch.ones(7))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 100))
def test_published__follows_turns_and_ignores_scale_and_shift(seed: int, scale: float) -> None:
    rows, others = vectors(40, 12, seed), vectors(9, 12, seed + 1)
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=draw, dtype=torch.float64)).Q
    shift = torch.randn(12, generator=draw, dtype=torch.float64)

    def moved(x: Tensor) -> Tensor:
        return scale * x.double() @ turn + shift

    expected = fit_shaping(rows).apply(others).double() @ turn
    published = fit_shaping(moved(rows)).apply(moved(others)).double()
    torch.testing.assert_close(published, expected, rtol=0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_fit__leaves_rows_out_that_are_not_finite_and_ignores_order(seed: int) -> None:
    rows = vectors(30, 10, seed)
    broken = torch.cat([rows, rows[:3]])
    broken[30, 4], broken[31], broken[32, 0] = torch.nan, torch.inf, -torch.inf
    order = torch.randperm(33, generator=torch.Generator().manual_seed(seed))
    one, other = fit_shaping(rows), fit_shaping(broken[order])
    torch.testing.assert_close(one.mean, other.mean)
    torch.testing.assert_close(one.transform, other.transform)


def test_fit__twice_is_the_same_to_the_bit() -> None:
    rows = vectors(50, 32, 3)
    one, other = fit_shaping(rows), fit_shaping(rows.clone())
    assert torch.equal(one.transform, other.transform)
    assert torch.equal(one.transform, one.transform.T)
    assert one.transform.dtype is torch.float64


def test_apply__takes_the_root_of_how_much_directions_vary() -> None:
    rows = vectors(4000, 8, 5) @ torch.diag(
        torch.logspace(0, 1.5, 8)
    )  # deviations 1 to .32: the ridge is small
    shaping = fit_shaping(rows, 0.25)
    before = torch.linalg.eigvalsh(torch.cov(rows.double().T))
    after = torch.linalg.eigvalsh(torch.cov(((rows.double() - shaping.mean) @ shaping.transform).T))
    # Half of whitening, not all of it.
    torch.testing.assert_close(
        after.max() / after.min(), (before.max() / before.min()).sqrt(), rtol=0.1, atol=0
    )


def test_apply__marks_rows_without_a_direction() -> None:
    rows = vectors(20, 6, 1)
    shaping = fit_shaping(rows)
    asked = torch.stack([rows[0], torch.full((6,), torch.nan), shaping.mean.float(), rows[1]])
    shaping = type(shaping)(asked[2].double(), shaping.transform)
    assert shaping.apply(asked).isnan().all(1).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    "rows",
    [torch.zeros(0, 5), torch.full((4, 5), torch.nan), torch.ones(1, 5), torch.ones(9, 5) / 3],
    ids=["none", "only NaN", "one", "all equal"],
)
def test_fit__without_any_spread_shapes_nothing(rows: Tensor) -> None:
    shaping = fit_shaping(rows)
    assert torch.equal(shaping.transform, no_shaping(5).transform)
    assert shaping.mean.isfinite().all()
