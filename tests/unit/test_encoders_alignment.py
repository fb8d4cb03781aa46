"""The shared space is the same everywhere, and maps into it are fitted, stored and restored soundly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from node.encoders.alignment import Alignment, fit, lift
from node.encoders.alignment_store import store_map, stored_map
from node.encoders.anchors import ANCHORS_MAX, ANCHORS_MIN, anchor_texts
from node.encoders.catalogue import load_encoder
from node.encoders.encoder import (
    DIMENSIONS,
    EncoderError,
    WritingEncoder,
    answer_rows,
    made_answers,
    unit_rows,
)

_LIFT_CORNER = [
    [0.012939592823386192, 0.0017987728351727128, -0.0025366456247866154],
    [0.019479162991046906, -0.04589797183871269, 0.047942135483026505],
]


def _pairs(seed: int, dimensions: int = 8) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Source rows, and the same rows rotated into the shared space."""
    source = unit_rows(np.random.default_rng(seed).standard_normal((200, dimensions)).astype(np.float32))
    return source, source @ lift(dimensions)


@given(dimensions=st.integers(1, 96))
@settings(max_examples=15, deadline=None)
def test_lift__is_orthonormal(dimensions: int) -> None:
    rows = lift(dimensions).astype(np.float64)
    assert rows.shape == (dimensions, DIMENSIONS)
    np.testing.assert_allclose(rows @ rows.T, np.eye(dimensions), atol=1e-6)


def test_lift__is_the_same_on_every_machine() -> None:
    # A vector of the shared space: changing it is a new network. Any LAPACK agrees to far more digits.
    np.testing.assert_allclose(lift(256)[:2, :3], _LIFT_CORNER, atol=2e-7)


@pytest.mark.parametrize("dimensions", [0, DIMENSIONS + 1])
def test_lift__refuses_a_space_that_does_not_fit(dimensions: int) -> None:
    with pytest.raises(ValueError, match="dimensions"):
        lift(dimensions)


@given(seed=st.integers(0, 2**32), dimensions=st.integers(2, 24))
@settings(max_examples=20, deadline=None)
def test_procrustes__recovers_a_rotation(seed: int, dimensions: int) -> None:
    source, target = _pairs(seed, dimensions)
    np.testing.assert_allclose(fit(source, target, Alignment.PROCRUSTES).apply(source), target, atol=1e-4)


def test_procrustes__keeps_the_distances_of_the_source() -> None:
    source = np.random.default_rng(1).standard_normal((300, 16)).astype(np.float32)
    target = np.random.default_rng(2).standard_normal((300, DIMENSIONS)).astype(np.float32)
    matrix = fit(source, target, Alignment.PROCRUSTES).matrix.astype(np.float64)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(16), atol=1e-5)


def test_procrustes__drops_directions_the_target_does_not_span() -> None:
    source, target = _pairs(3, 8)
    wide = source @ np.random.default_rng(3).standard_normal((8, 40)).astype(np.float32)
    matrix = fit(wide, target, Alignment.PROCRUSTES).matrix
    assert np.linalg.matrix_rank(matrix.astype(np.float64), tol=1e-4) == 8


def test_ridge__brings_unlike_spaces_nearer_than_a_rotation() -> None:
    generator = np.random.default_rng(4)
    target = _pairs(4, 8)[1]
    bent = np.tanh(3 * target @ generator.standard_normal((DIMENSIONS, 64))).astype(np.float32)
    near = {how: (fit(bent, target, how).apply(bent) * target).sum(axis=1).mean() for how in Alignment}
    assert near[Alignment.RIDGE] > near[Alignment.PROCRUSTES]


def test_fit__refuses_rows_that_do_not_pair() -> None:
    source, target = _pairs(5)
    with pytest.raises(ValueError, match="pairs"):
        fit(source[:-1], target, Alignment.RIDGE)


def test_made_answers__are_unit_where_they_lie_and_nan_where_nothing_was_said() -> None:
    rows = np.random.default_rng(3).normal(size=(6, DIMENSIONS)).astype(np.float32)
    rows[1], rows[2, 5], rows[3], rows[4] = 0.0, np.nan, 1e30, 1e-20
    expected = rows[[0, 5]] / np.linalg.norm(rows[[0, 5]], axis=1, keepdims=True)
    made = made_answers(rows)
    assert made is rows
    np.testing.assert_allclose(made[[0, 5]], expected, atol=1e-6)
    assert np.isnan(made[2]).all()
    assert (made[[1, 3, 4]] == np.eye(1, DIMENSIONS, dtype=np.float32)).all()


def test_encode_into__writes_what_encode_returns_for_reference_and_aligned() -> None:
    for name in ("wordllama-256", "ngram"):
        encoder = load_encoder(name, "wordllama-256")
        assert isinstance(encoder, WritingEncoder)
        views = ["winter rain", "a tin roof", "the number of items"]
        rows = np.full((3, DIMENSIONS), 7, np.float32)
        encoder.encode_into(views, rows)
        np.testing.assert_array_equal(rows, encoder.encode(views))
        with pytest.raises(ValueError, match="mismatch"):
            encoder.encode_into(views, np.zeros((1, DIMENSIONS), np.float32))


def test_answer_rows__never_sends_a_row_without_direction() -> None:
    rows = np.zeros((3, DIMENSIONS), dtype=np.float32)
    rows[1] = 7.0
    np.testing.assert_allclose(np.linalg.norm(answer_rows(rows), axis=1), 1.0, rtol=1e-5)


def test_store__gives_back_the_map_bit_for_bit_and_keeps_one_file(tmp_path: Path) -> None:
    fitted = fit(*_pairs(6), Alignment.PROCRUSTES)
    store_map(tmp_path / "new", "some", "old", fitted)
    store_map(tmp_path / "new", "some", "key", fitted)
    found = stored_map(tmp_path / "new", "some", "key", 8)
    assert found is not None
    assert all(
        np.array_equal(getattr(found, part), getattr(fitted, part))
        for part in ("source_mean", "matrix", "target_mean")
    )
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["alignment-some-key.npz"]


def test_store__passes_over_a_missing_damaged_or_misshapen_map(tmp_path: Path) -> None:
    store_map(tmp_path, "some", "key", fit(*_pairs(7), Alignment.PROCRUSTES))
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    assert stored_map(tmp_path, "some", "other", 8) is None
    assert stored_map(tmp_path, "some", "key", 9) is None
    for damaged in (b"", whole[: len(whole) // 2], b"PK\x03\x04" + whole[4:60], b"nonsense"):
        path.write_bytes(damaged)
        assert stored_map(tmp_path, "some", "key", 8) is None


def test_store__never_gives_back_a_map_with_a_flipped_byte(tmp_path: Path) -> None:
    fitted = fit(*_pairs(9), Alignment.PROCRUSTES)
    store_map(tmp_path, "some", "key", fitted)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for offset in np.random.default_rng(9).integers(len(whole), size=300).tolist():
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0xFF]) + whole[offset + 1 :])
        found = stored_map(tmp_path, "some", "key", 8)
        assert found is None or np.array_equal(found.matrix, fitted.matrix)


def test_store__says_what_to_do_when_the_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EncoderError, match="cannot be stored"):
        store_map(tmp_path / "file", "some", "key", fit(*_pairs(8), Alignment.RIDGE))


def test_anchor_texts__are_enough_distinct_and_stable() -> None:
    anchors = anchor_texts()
    assert ANCHORS_MIN <= len(set(anchors)) == len(anchors) <= ANCHORS_MAX
    digest = blake3("\n".join(anchors).encode()).hexdigest()
    assert blake3("\n".join(anchor_texts()).encode()).hexdigest() == digest
