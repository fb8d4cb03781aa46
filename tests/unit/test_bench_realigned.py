"""Alignment on a network's own past texts: what it keeps, what it undoes, and that it is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from node.bench import realigned, views
from node.bench.errors import BenchError
from node.bench.realigned import AlignedOn, aligned_on_by_name, answers_aligned_on
from node.encoders import DEFAULT_REFERENCE
from node.encoders.encoder import unit_rows

PAST, VIEWS = slice(40, 440), [str(n) for n in range(500)]
DIMENSIONS = 256


def spread(seed: int) -> NDArray[np.float32]:
    """Native vectors off the origin, some directions stronger than others."""
    draw = np.random.default_rng(seed)
    strength = np.logspace(0, -1.5, DIMENSIONS)
    return (draw.standard_normal((len(VIEWS), DIMENSIONS)) * strength + 0.3).astype(np.float32)


@pytest.fixture
def natives(monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[np.float32]]:
    """What the encoders answer in their own spaces, by name."""
    turned, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((DIMENSIONS, DIMENSIONS)))
    reference = spread(0)
    known = {
        DEFAULT_REFERENCE: reference,
        "turned and moved": (reference @ turned + 2.0).astype(np.float32),
        "another": spread(2),
    }
    monkeypatch.setattr(realigned, "native_answers", lambda _views, name, _cache: known[name])
    return known


def centred(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return unit_rows(rows - rows[PAST].mean(axis=0))


def test_aligned_on_past__undoes_a_rotation_and_a_shift_on_texts_never_seen(
    natives: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    reference, turned = answers_aligned_on(PAST, VIEWS, (DEFAULT_REFERENCE, "turned and moved"), tmp_path)
    np.testing.assert_allclose(turned, reference, atol=1e-4)


def test_aligned_on_past__keeps_each_encoders_cosines_around_its_own_mean(
    natives: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    for name, rows in zip(natives, answers_aligned_on(PAST, VIEWS, tuple(natives), tmp_path), strict=True):
        own = centred(natives[name])
        np.testing.assert_allclose(rows @ rows.T, own @ own.T, atol=2e-4)


def test_aligned_on_past__does_not_look_at_other_texts(
    natives: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    before = answers_aligned_on(PAST, VIEWS, ("another",), tmp_path)[0]
    natives["another"] = natives["another"].copy()
    natives["another"][: PAST.start] = 7.0
    natives["another"][PAST.stop :] = spread(3)[PAST.stop :]
    after = answers_aligned_on(PAST, VIEWS, ("another",), tmp_path)[0]
    np.testing.assert_array_equal(after[PAST], before[PAST])


def test_aligned_on_past__is_the_same_where_texts_are_embedded_for_all_draws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = dict(zip(VIEWS, spread(0), strict=True))
    asked = []

    def native(some: Sequence[str], _name: str, _cache: Path) -> NDArray[np.float32]:
        asked.append(list(some))
        return np.array([rows[view] for view in some], dtype=np.float32)

    monkeypatch.setattr(realigned, "native_answers", native)
    alone = answers_aligned_on(PAST, VIEWS, (DEFAULT_REFERENCE,), tmp_path)
    known = VIEWS[450:30:-1]  # some of the views, among them the past, in another order
    asked.clear()
    np.testing.assert_array_equal(
        answers_aligned_on(PAST, VIEWS, (DEFAULT_REFERENCE,), tmp_path, known), alone
    )
    assert known in asked
    assert VIEWS not in asked


class _Counted:
    """A native encoder that counts how often it is asked."""

    name, dimensions = "counted", 3

    def __init__(self) -> None:
        self.asked = 0

    def fingerprint(self) -> bytes:
        return b"counted"

    def embed(self, views: Sequence[str]) -> NDArray[np.float32]:
        self.asked += 1
        return np.array([[len(view), 1, self.asked] for view in views], dtype=np.float32)


def test_native_answers__are_computed_once_for_the_same_views(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counted = _Counted()
    monkeypatch.setattr(views, "native_encoder", lambda _name: counted)
    first = views.native_answers(["a", "bc"], "counted", tmp_path)
    np.testing.assert_array_equal(views.native_answers(["a", "bc"], "counted", tmp_path), first)
    assert counted.asked == 1
    views.native_answers(["bc", "a"], "counted", tmp_path)
    assert counted.asked == 2


def test_aligned_on_by_name__names_those_there_are() -> None:
    assert aligned_on_by_name("past") is AlignedOn.PAST
    with pytest.raises(BenchError, match="anchors, past"):
        aligned_on_by_name("future")
