"""Shaping in numpy is that of `scoring.shaping`, and costs the node no torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from node import spectral_shaping as ours
from scoring import shaping as theirs


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(2, 24),
    st.sampled_from([0.0, 1.0, 30.0]),
    st.sampled_from([0.25, 0.3, 0.5]),
)
def test_shaping__is_that_of_scoring(
    seed: int, rows: int, dimension: int, spread: float, power: float
) -> None:
    draw = np.random.default_rng(seed)
    past = draw.standard_normal((rows, dimension)) * spread ** draw.random(dimension) + 0.1
    past = past if spread else np.full((rows, dimension), 0.25)
    mean, products = past.mean(0), past.T @ past / rows
    mine = ours.shaping_from_moments(mean, products, power)
    scorers = theirs.shaping_from_moments(torch.from_numpy(mean), torch.from_numpy(products), power)
    np.testing.assert_allclose(mine.transform, scorers.transform.numpy(), rtol=1e-8, atol=1e-8)
    vectors = draw.standard_normal((5, dimension)).astype(np.float32)
    np.testing.assert_allclose(
        mine.apply(vectors), scorers.apply(torch.from_numpy(vectors)).numpy(), rtol=1e-5, atol=1e-6
    )


def test_vectors_without_direction__are_nan_in_both() -> None:
    rows = np.array([[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [3.0, 4.0]], np.float32)
    mine = ours.no_shaping(2).apply(rows)
    np.testing.assert_array_equal(mine, theirs.no_shaping(2).apply(torch.from_numpy(rows)).numpy())
    assert np.isfinite(mine).all(axis=1).tolist() == [False, False, False, True]


@pytest.mark.slow
def test_api_with_its_spaces__imports_no_torch() -> None:
    code = "import sys, node.api.app, node.shaping; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
