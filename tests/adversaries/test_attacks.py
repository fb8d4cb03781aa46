"""Each attack does what its name says, on real answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.bench.adversaries import ATTACKS, LAZY_SHARE, TINY_NORM, describe, near_copies, partial_rotation
from node.bench.scene import Answers, Scene
from tests.support.embedded_shard import ITEMS, scene

ROLES = ("full", "mask", "inverse")


def rows_of(answers: Answers) -> np.ndarray:
    """All views of each encoder: [N, views, D]."""
    count, dimension = len(answers), answers.full.shape[-1]
    return np.concatenate([getattr(answers, role).reshape(count, -1, dimension) for role in ROLES], axis=1)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


def attacked(name: str, **how: int) -> tuple[Scene, np.ndarray, np.ndarray]:
    """The scene, the attackers' honest rows and what they answer instead."""
    here = scene(**how)
    return here, rows_of(here.own), rows_of(ATTACKS[name](here))


@pytest.mark.parametrize("name", ATTACKS)
def test_attack__keeps_shapes_repeats_with_its_seed_and_leaves_the_scene_alone(name: str) -> None:
    here, again = scene(seed=5), scene(seed=5)
    before = rows_of(here.own).copy()
    answers = ATTACKS[name](here)
    for role in ROLES:
        assert getattr(answers, role).shape == getattr(here.own, role).shape
        assert getattr(answers, role).dtype == np.float32
    np.testing.assert_array_equal(rows_of(answers), rows_of(ATTACKS[name](again)))
    np.testing.assert_array_equal(rows_of(here.own), before)
    assert describe(name).endswith(".")
    assert "\n" not in describe(name)


def test_zero__and_tiny_norm__have_no_length() -> None:
    assert not attacked("zero")[2].any()
    _, own, rows = attacked("tiny-norm")
    np.testing.assert_allclose(rows, own * TINY_NORM, rtol=1e-5)


def test_constant__is_one_vector() -> None:
    rows = attacked("constant")[2]
    assert len(np.unique(rows.reshape(-1, rows.shape[-1]), axis=0)) == 1


@pytest.mark.parametrize(
    ("name", "alike"),
    [("random", False), ("colluding-random", True), ("colluding-atoms", True), ("rotated-cabal", True)],
)
def test_unrelated__agree_with_nobody_but_fellow_colluders(name: str, alike: bool) -> None:
    _, own, rows = attacked(name)
    assert abs(cosines(rows, own).mean()) < 0.1
    assert (cosines(rows[0], rows[1]).mean() > 0.99) == alike


@pytest.mark.parametrize("name", ["rotated-cabal", "lone-rotation"])
def test_rotation__keeps_the_geometry_of_the_encoder(name: str) -> None:
    _, own, rows = attacked(name)
    # The cabal is jittered: its members' rows lose a quarter of a percent of their length to noise.
    np.testing.assert_allclose(rows[0] @ rows[0].T, own[0] @ own[0].T, atol=0.02)


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 90))
def test_partial_rotation__moves_every_answer_by_its_angle_and_keeps_the_geometry(degrees: int) -> None:
    here = scene()
    own, rows = rows_of(here.own), rows_of(partial_rotation(here, degrees))
    np.testing.assert_allclose(cosines(own, rows), np.cos(np.deg2rad(degrees)), atol=1e-4)
    np.testing.assert_allclose(rows[0] @ rows[1].T, own[0] @ own[1].T, atol=1e-4)


def test_replay__answers_each_item_with_another_one() -> None:
    here = scene()
    answers = ATTACKS["replay"](here)
    taken = (here.own.full[0][:, None] == answers.full[0][None]).all(-1)  # [own item, answered item]
    assert (taken.sum(0) >= 1).all()
    assert not taken.diagonal().any()


def test_lazy__encodes_its_share_and_nothing_else() -> None:
    here = scene()
    answers = ATTACKS["lazy"](here)
    true = (answers.full == here.own.full).all(-1)
    assert (true.sum(1) == int(LAZY_SHARE * ITEMS)).all()
    assert len(np.unique(answers.full[0], axis=0)) == int(LAZY_SHARE * ITEMS)


def test_withholding__withholds_whole_items() -> None:
    answers = ATTACKS["withholding"](scene())
    gone = [np.isnan(getattr(answers, role)).reshape(3, ITEMS, -1) for role in ROLES]
    for one in gone:
        np.testing.assert_array_equal(one.all(-1), one.any(-1))
        np.testing.assert_array_equal(one.all(-1), gone[0].all(-1))
    assert 0.15 < gone[0].all(-1).mean() < 0.45


def test_one_forward__has_the_full_view_in_every_part_and_half_fabricated_in_half() -> None:
    here = scene()
    whole = here.own.full[:, :, None]
    fabricated = cosines(ATTACKS["one-forward"](here).mask, whole)
    assert (fabricated > 0.9).all()
    half = ATTACKS["half-fabricated"](here)
    true = (half.mask == here.own.mask).all((-1, -2))
    assert (true.sum(1) == ITEMS // 2).all()


def test_forged__recompose_exactly() -> None:
    here = scene()
    share = here.share[None, :, 0, None]
    inverse = ATTACKS["forged-inverse"](here).inverse[:, :, 0]
    residual = here.own.full - share * here.own.mask[:, :, 0]
    np.testing.assert_allclose(cosines(inverse, residual), 1, atol=1e-5)
    full = ATTACKS["forged-full"](here).full
    parts = share * here.own.mask[:, :, 0] + (1 - share) * here.own.inverse[:, :, 0]
    np.testing.assert_allclose(cosines(full, parts), 1, atol=1e-5)


def test_leak__brings_the_parts_nearer_to_the_whole_the_stronger_it_is() -> None:
    here = scene()
    whole = here.own.full[:, :, None]
    near = [cosines(ATTACKS[f"leak-{part}"](here).mask, whole).mean() for part in (20, 40, 60)]
    assert cosines(here.own.mask, whole).mean() < near[0] < near[1] < near[2]


def test_copycat__copies_the_best_honest_encoder() -> None:
    here = scene()
    for name, norm in (("copycat-5", 0.05), ("copycat-50", 0.5)):
        rows = rows_of(ATTACKS[name](here))
        np.testing.assert_allclose(
            cosines(rows, rows_of(here.honest)[:1]).mean(), (1 + norm**2) ** -0.5, atol=0.01
        )


@settings(max_examples=5, deadline=None)
@given(st.floats(0.5, 0.999))
def test_near_copies__differ_by_their_cosine(cosine: float) -> None:
    rows = rows_of(near_copies(scene(), cosine))
    assert cosines(rows[0], rows[1]).mean() == pytest.approx(cosine, abs=0.01)
    assert cosines(rows[0], rows[2]).mean() == pytest.approx(cosine, abs=0.01)


def test_constant_shift__looks_different_until_it_is_centred() -> None:
    rows = rows_of(ATTACKS["constant-shift"](scene()))
    assert cosines(rows[0], rows[1]).mean() < 0.85
    centred = rows - rows.mean(1, keepdims=True)
    assert cosines(centred[0], centred[1]).mean() > 0.95


@pytest.mark.parametrize(("name", "value"), [("nan", np.nan), ("inf", np.inf), ("3e38", np.float32(3e38))])
def test_poison__is_in_every_answer(name: str, value: float) -> None:
    rows = attacked(f"poison-{name}")[2]
    np.testing.assert_array_equal(rows[..., 0], value)
