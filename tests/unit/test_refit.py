"""A map follows the consensus: it is fitted to pairs, taken only where it is better, and keeps its mean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from node.encoders.alignment import AffineMap, Alignment, fit, lift
from node.encoders.encoder import DIMENSIONS, EncoderError, unit_rows
from node.encoders.own_alignment import OwnAlignment, Target, own_alignment, store_own_alignment
from node.encoders.refit import ROTATION, Way, agreement, fitted_to, held_out_of, refitted
from node.encoders.word_vectors import WordVectors

RIDGE = Way(Alignment.RIDGE, 0.5)
Rows = NDArray[np.float32]


def _rows(seed: int, count: int = 600, dimensions: int = 12) -> Rows:
    # Not around zero: models' vectors never are.
    found = np.random.default_rng(seed).standard_normal((count, dimensions)) + 0.7
    return unit_rows(found.astype(np.float32))


def _every_fifth(rows: Rows) -> NDArray[np.bool_]:
    return np.arange(len(rows)) % 5 == 0


def _scene(seed: int, noise: float = 0.05) -> tuple[AffineMap, Rows, Rows]:
    """A map onto one space, native rows, and a consensus whose space is another."""
    native = _rows(seed)
    chance = np.random.default_rng((seed, 1))
    before = fit(native, unit_rows(native @ lift(12) + 0.02), Alignment.PROCRUSTES)
    turn, _ = np.linalg.qr(chance.standard_normal((12, 12)))
    consensus = (native - native.mean(axis=0)) @ turn.astype(np.float32) @ lift(12)
    noisy = 0.6 * consensus + noise * chance.standard_normal(consensus.shape).astype(np.float32)
    return before, native, noisy.astype(np.float32)


@given(seed=st.integers(0, 2**31), way=st.sampled_from([ROTATION, RIDGE]))
@settings(max_examples=12, deadline=None)
def test_refit__agrees_with_the_consensus_once_its_mean_is_taken_away(seed: int, way: Way) -> None:
    before, native, vectors = _scene(seed, noise=0.0)
    found = refitted(before, native, vectors, vectors, _every_fifth(native), way)
    assert found.is_better
    assert found.after > 0.97
    assert found.after == pytest.approx(agreement(found.map.apply(native[::5]), vectors[::5]), abs=1e-6)


@given(seed=st.integers(0, 2**31), way=st.sampled_from([ROTATION, RIDGE]))
@settings(max_examples=12, deadline=None)
def test_refit__leaves_the_mean_answer_where_it_was(seed: int, way: Way) -> None:
    before, native, vectors = _scene(seed)
    after = fitted_to(before, native, vectors, vectors, way)
    old, new = before.apply(native).mean(axis=0), after.apply(native).mean(axis=0)
    assert np.linalg.norm(old) > 0.2
    # What the record holds as this encoder's mean is two epochs old: it must not become wrong.
    assert np.linalg.norm(new - old) < 0.1 * np.linalg.norm(old)


def test_refit__follows_a_consensus_that_is_pulled_away_no_further_than_the_reference_lets_it() -> None:
    before, native, _ = _scene(8)
    reference = before.apply(native)
    around = reference - reference.mean(axis=0)
    off = np.roll(around, 2, axis=1)  # about at right angles to where everybody was
    for share, least, most in ((0.0, 0.95, 1.0), (0.3, 0.6, 0.97)):
        fitted = fitted_to(before, native, off, reference, RIDGE, share).apply(native)
        assert least < agreement(fitted, off) < most + 1e-6
    assert agreement(fitted, around) > 0.2


def test_refit__is_not_taken_where_pairs_say_nothing() -> None:
    before, native, _ = _scene(3)
    target = before.apply(native)
    noise = np.random.default_rng(4).standard_normal((len(native), DIMENSIONS)).astype(np.float32)
    good = unit_rows(target - target.mean(axis=0))
    assert not refitted(before, native, good + 0.2 * noise, target, _every_fifth(native), ROTATION).is_better


def test_refit__passes_over_rows_that_are_no_numbers() -> None:
    before, native, vectors = _scene(5)
    native[3] = np.nan
    vectors[4] = 0.0
    found = refitted(before, native, vectors, vectors, _every_fifth(native), ROTATION)
    assert found.pairs == len(native) - 2
    assert np.isfinite(found.map.matrix).all()
    with pytest.raises(ValueError, match="too few"):
        refitted(before, native[:6], vectors[:6], vectors[:6], _every_fifth(native[:6]), ROTATION)


def test_own_alignment__goes_by_the_target_and_by_the_weights(tmp_path: Path) -> None:
    native, other, reference = WordVectors(64), WordVectors(128), WordVectors(256)
    assert own_alignment(tmp_path, Target.CONSENSUS, native, reference) is None
    rows = _rows(6, dimensions=64)
    to_reference = OwnAlignment(fit(rows, rows @ lift(64), Alignment.PROCRUSTES), ROTATION)
    to_consensus = OwnAlignment(fit(rows, rows @ lift(64) + 1, Alignment.RIDGE), RIDGE)
    store_own_alignment(tmp_path, Target.REFERENCE, native, reference, to_reference)
    found = own_alignment(tmp_path, Target.CONSENSUS, native, reference)
    assert found is not None
    assert found.way == ROTATION
    store_own_alignment(tmp_path, Target.CONSENSUS, native, reference, to_consensus)
    found = own_alignment(tmp_path, Target.CONSENSUS, native, reference)
    assert found is not None
    assert found.way == RIDGE
    np.testing.assert_array_equal(found.map.matrix, to_consensus.map.matrix)
    kept = own_alignment(tmp_path, Target.REFERENCE, native, reference)
    assert kept is not None
    assert kept.way == ROTATION
    assert own_alignment(tmp_path, Target.CONSENSUS, other, reference) is None
    assert own_alignment(tmp_path, Target.CONSENSUS, native, other) is None


def test_own_alignment__is_none_when_a_file_of_it_is_damaged(tmp_path: Path) -> None:
    native, reference = WordVectors(64), WordVectors(256)
    rows = _rows(7, dimensions=64)
    own = OwnAlignment(fit(rows, rows @ lift(64), Alignment.PROCRUSTES), ROTATION)
    store_own_alignment(tmp_path, Target.REFERENCE, native, reference, own)
    (settings_file,) = tmp_path.glob("*.json")
    for damage in ("", "[]", '{"method": "magic", "strength": 1}', '{"method": "ridge"}'):
        settings_file.write_text(damage)
        assert own_alignment(tmp_path, Target.REFERENCE, native, reference) is None
    with pytest.raises(EncoderError, match="cannot be stored"):
        store_own_alignment(settings_file, Target.REFERENCE, native, reference, own)


def test_held_out_items__are_the_same_in_every_epoch_and_about_a_fifth() -> None:
    items = [f"item {number}".encode() for number in range(2_000)]
    found = held_out_of(items)
    assert 0.15 < found.mean() < 0.25
    np.testing.assert_array_equal(held_out_of(items[::-1]), found[::-1])
