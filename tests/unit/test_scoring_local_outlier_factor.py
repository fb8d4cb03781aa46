"""Local outlier factor: scikit-learn in float64 is the oracle; hostile rows and settings change nothing."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from scoring import ScoringError, compiled, local_outlier_factor

torch.set_num_threads(1)


def oracle(rows: torch.Tensor, neighbours: int) -> np.ndarray:
    """scikit-learn's factor of one item, in float64 and, in a k-d tree, from differences of rows."""
    model = LocalOutlierFactor(n_neighbors=min(neighbours, len(rows) - 1), algorithm="kd_tree")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it takes any factor above 1e7 for duplicates
        model.fit(rows.double().numpy())
    return np.asarray(-model.negative_outlier_factor_)


def cloud(seed: int, items: int, count: int, dimension: int, offset: float, spread: float) -> torch.Tensor:
    """Rows around one far point: the larger offset / spread, the fewer digits a Gram matrix keeps."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.randn(items, 1, dimension, generator=draw)
    return offset * centre + spread * torch.randn(items, count, dimension, generator=draw)


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(3, 24),
    neighbours=st.integers(1, 30),
    offset=st.sampled_from([0.0, 1.0, 100.0]),
    spread=st.sampled_from([1e-2, 1.0, 50.0]),
    long_row=st.booleans(),
)
@settings(max_examples=60)
def test_local_outlier_factor__equals_scikit_learn_at_any_spread(
    seed: int, count: int, neighbours: int, offset: float, spread: float, long_row: bool
) -> None:
    rows = cloud(seed, 3, count, 32, offset, spread)
    if long_row:
        rows[:, 0] *= 1e4
    factors = local_outlier_factor(rows, n_neighbors=neighbours)
    for item in range(3):
        expected = oracle(rows[item], neighbours)
        # To a row a million spreads away all peers are equally near: which is nearest is a tie in float32.
        near = 1 if long_row else 0
        np.testing.assert_allclose(factors[item, near:], expected[near:], rtol=1e-5)
        np.testing.assert_allclose(factors[item, :near], expected[:near], rtol=0.9)


@pytest.mark.parametrize(("spread", "tolerance"), [(1.0, 1e-5), (1e-3, 1e-5), (1e-6, 1e-5)])
def test_local_outlier_factor__keeps_its_digits_as_encoders_converge(spread: float, tolerance: float) -> None:
    rows = torch.nn.functional.normalize(cloud(5, 4, 16, 1024, 1.0, spread), dim=2)
    factors = local_outlier_factor(rows, n_neighbors=8)
    for item in range(4):
        np.testing.assert_allclose(factors[item], oracle(rows[item], 8), rtol=tolerance)


def test_local_outlier_factor__tight_groups_far_apart_equal_scikit_learn() -> None:
    draw = torch.Generator().manual_seed(11)
    centres = torch.randn(2, 4, 1, 256, generator=draw)
    rows = (centres + 1e-4 * torch.randn(2, 4, 6, 256, generator=draw)).flatten(1, 2)
    factors = local_outlier_factor(rows, n_neighbors=4)
    for item in range(2):
        np.testing.assert_allclose(factors[item], oracle(rows[item], 4), rtol=1e-5)


@given(
    seed=st.integers(0, 2**31), missing=st.sets(st.integers(0, 8), max_size=5), neighbours=st.integers(1, 9)
)
@settings(max_examples=40)
def test_local_outlier_factor__invalid_rows_are_as_if_absent(
    seed: int, missing: set[int], neighbours: int
) -> None:
    rows = cloud(seed, 1, 9, 16, 0.0, 1.0)
    valid = torch.tensor([[row not in missing for row in range(9)]])
    factors = local_outlier_factor(rows, valid, n_neighbors=neighbours)[0]
    assert torch.isinf(factors[~valid[0]]).all()
    np.testing.assert_allclose(factors[valid[0]], oracle(rows[0, valid[0]], neighbours), rtol=1e-5)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf"), 3e38, 1e20])
@pytest.mark.parametrize("everywhere", [True, False])
def test_local_outlier_factor__poisoned_row_is_inf_and_leaves_peers_unchanged(
    poison: float, everywhere: bool
) -> None:
    rows = cloud(1, 5, 8, 64, 0.0, 1.0)
    valid = torch.ones(5, 8, dtype=torch.bool)
    valid[:, 3] = False
    without = local_outlier_factor(rows, valid, n_neighbors=4)
    rows[:, 3, slice(None) if everywhere else 7] = poison
    poisoned = local_outlier_factor(rows, n_neighbors=4)
    assert torch.isinf(poisoned[:, 3]).all()
    assert torch.equal(poisoned, without)


@pytest.mark.parametrize("neighbours", [1, 4, 20])
def test_local_outlier_factor__identical_rows_score_one(neighbours: int) -> None:
    rows = torch.randn(3, 1, 64, generator=torch.Generator().manual_seed(2)).expand(3, neighbours + 1, 64)
    assert local_outlier_factor(rows, n_neighbors=neighbours).eq(1).all()


@pytest.mark.parametrize("count", [1, 2])
def test_local_outlier_factor__one_valid_row_scores_one(count: int) -> None:
    rows = torch.randn(2, count, 8, generator=torch.Generator().manual_seed(3))
    valid = torch.tensor([[True] + [False] * (count - 1)] * 2)
    assert local_outlier_factor(rows, valid, n_neighbors=3)[:, 0].eq(1).all()


def test_local_outlier_factor__chunks_do_not_change_a_number() -> None:
    rows = cloud(4, 37, 9, 32, 1.0, 1.0)
    whole = local_outlier_factor(rows, n_neighbors=4, reach_floor=0.75)
    assert torch.equal(local_outlier_factor(rows, n_neighbors=4, reach_floor=0.75, max_bytes=1), whole)


@given(seed=st.integers(0, 2**31), count=st.integers(2, 20), copies=st.booleans())
@settings(max_examples=30)
def test_local_outlier_factor__follows_rows_and_items_in_any_order(
    seed: int, count: int, copies: bool
) -> None:
    rows = cloud(seed, 3, count, 24, 1.0, 1.0)
    if copies:  # ties for the k-th place
        rows[:, count // 2 :] = rows[:, :1]
    draw = torch.Generator().manual_seed(seed)
    order, items = torch.randperm(count, generator=draw), torch.randperm(3, generator=draw)
    plain = local_outlier_factor(rows, reach_floor=0.75)
    moved = local_outlier_factor(rows[items][:, order], reach_floor=0.75)
    torch.testing.assert_close(moved, plain[items][:, order], rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9])
def test_local_outlier_factor__neighbors_are_half_of_the_rows_if_not_given(count: int) -> None:
    rows = cloud(count, 2, count, 16, 0.0, 1.0)
    half = local_outlier_factor(rows, n_neighbors=max(1, count // 2))
    assert torch.equal(local_outlier_factor(rows), half)
    most = local_outlier_factor(rows, n_neighbors=max(1, count - 1))
    assert torch.equal(local_outlier_factor(rows, n_neighbors=count + 5), most)


def test_local_outlier_factor__autograd_and_integer_strides_are_no_obstacle() -> None:
    rows = cloud(9, 4, 6, 8, 0.0, 1.0)
    plain = local_outlier_factor(rows)
    assert torch.equal(local_outlier_factor(rows.clone().requires_grad_()), plain)
    assert torch.equal(local_outlier_factor(rows.transpose(1, 2).contiguous().transpose(1, 2)), plain)


def test_local_outlier_factor__accepts_strided_rows() -> None:
    slab = torch.randn(7, 5, 3, 16, generator=torch.Generator().manual_seed(6))  # [encoder, item, role, D]
    rows = slab[:, :, 1].transpose(0, 1)
    assert torch.equal(
        local_outlier_factor(rows, n_neighbors=3), local_outlier_factor(rows.contiguous(), n_neighbors=3)
    )


def test_local_outlier_factor__autocast_and_low_precision_change_nothing_and_survive() -> None:
    rows = torch.nn.functional.normalize(cloud(7, 4, 16, 256, 1.0, 0.1), dim=2)
    plain = local_outlier_factor(rows, n_neighbors=8)
    backend = torch.backends.cuda.matmul
    before = backend.fp32_precision
    backend.fp32_precision = "tf32"
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(local_outlier_factor(rows, n_neighbors=8), plain)
            assert torch.is_autocast_enabled("cpu")
        assert backend.fp32_precision == "tf32"
    finally:
        backend.fp32_precision = before


def test_reach_floor__near_copies_do_not_make_others_outliers() -> None:
    draw = torch.Generator().manual_seed(8)
    honest = torch.nn.functional.normalize(
        torch.randn(20, 1, 64, generator=draw) + 0.5 * torch.randn(20, 8, 64, generator=draw), dim=2
    )
    copies = honest[:, :1] + 1e-3 * torch.randn(20, 5, 64, generator=draw)
    rows = torch.cat([honest[:, 1:], copies], 1)
    assert local_outlier_factor(rows, n_neighbors=4)[:, :7].mean() > 10
    assert local_outlier_factor(rows, n_neighbors=4, reach_floor=0.75)[:, :7].mean() < 1.5


@pytest.mark.parametrize(
    ("rows", "valid", "neighbours"),
    [((3, 4), None, 2), ((2, 3, 4), (2, 4), 2), ((2, 3, 4), None, 0)],
)
def test_local_outlier_factor__wrong_arguments_are_refused(
    rows: tuple[int, ...], valid: tuple[int, ...] | None, neighbours: int
) -> None:
    flags = None if valid is None else torch.ones(valid, dtype=torch.bool)
    with pytest.raises(ScoringError, match=r"give rows|at least 1"):
        local_outlier_factor(torch.zeros(rows), flags, n_neighbors=neighbours)


@pytest.mark.parametrize("spread", [0.0, 1e-6])
def test_most_operators_running_one_model__do_not_push_out_the_one_who_does_not(spread: float) -> None:
    draw = torch.Generator().manual_seed(5)
    one, other = torch.nn.functional.normalize(torch.randn(2, 16, 64, generator=draw), dim=2)  # [16, 64] each
    near = torch.nn.functional.normalize(one + 0.5 * other, dim=1)
    rows = torch.stack([*(one + spread * torch.randn(16, 64, generator=draw) for _ in range(6)), near], dim=1)
    factors = local_outlier_factor(rows, n_neighbors=3, reach_floor=0.75)
    assert factors.max() < 1.5
    assert factors[:, :6].sub(1).abs().max() < 1e-3


@pytest.mark.parametrize("rounding", [0.0, 1e-8, 1e-6, 3e-5])
@pytest.mark.parametrize("compiled_kernels", [True, False])
def test_all_operators_running_one_model__do_not_push_out_who_rounds_differently(
    rounding: float, compiled_kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled_kernels:
        monkeypatch.setattr(compiled, "serves", lambda _: False)
    draw = torch.Generator().manual_seed(6)
    one, noise = torch.nn.functional.normalize(torch.randn(2, 16, 64, generator=draw), dim=2)
    rows = torch.stack([*[one] * 7, one + rounding * noise], dim=1)
    factors = local_outlier_factor(rows, reach_floor=0.75)
    assert factors.sub(1).abs().max() < 1e-3
    rows[1, 7], rows[2:, 2:] = torch.nan, torch.nan  # and where hardly anybody answers
    assert local_outlier_factor(rows, reach_floor=0.75)[:, :2].sub(1).abs().max() < 1e-3
