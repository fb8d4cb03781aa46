"""The probes' terms: the formula, who shows a sign, and what neither rounding nor liars can move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scoring.probes import BENT, DISTANCE_MIN, LEANING, SPREAD_MAX, SPREAD_MIN, probe_terms, pull

torch.set_num_threads(1)

ENCODERS, PROBES, DIMENSION = 12, 24, 64


def rows(draw: np.random.Generator, *shape: int) -> Tensor:
    made = torch.from_numpy(draw.standard_normal(shape).astype(np.float32))
    return torch.nn.functional.normalize(made, dim=-1)


def shard(seed: int, encoders: int = ENCODERS) -> tuple[Tensor, Tensor, Tensor]:
    """Honest encoders that see a space of their own: committed, answer, full [N, P, D].

    The full view is the fragment and the rest; the probe lacks a little of the fragment.
    """
    draw = np.random.default_rng(seed)
    fragment, rest, lost = (rows(draw, encoders, PROBES, DIMENSION) for _ in range(3))
    full = torch.nn.functional.normalize(fragment + rest, dim=-1)
    answer = torch.nn.functional.normalize(fragment - 0.3 * lost, dim=-1)
    return fragment, answer, full


def counted(encoders: int = ENCODERS) -> Tensor:
    return torch.ones(encoders, PROBES, dtype=torch.bool)


def bend(committed: Tensor, full: Tensor, who: slice, strength: float) -> Tensor:
    bent = committed.clone()
    bent[who] = (1 - strength) * committed[who] + strength * full[who]
    return torch.nn.functional.normalize(bent, dim=-1)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=25)
def test_pull__is_the_formula_written_out(seed: int) -> None:
    draw = np.random.default_rng(seed)
    c, a, f = (draw.standard_normal(16) for _ in range(3))
    hat = [row / np.linalg.norm(row) for row in (c, a, f)]
    moved, rest = hat[0] - hat[1], hat[2] - (hat[2] @ hat[1]) * hat[1]
    expected = moved @ rest / (np.linalg.norm(moved) * np.linalg.norm(rest))
    told = pull(*(torch.from_numpy(row.astype(np.float32)) for row in (c, a, f)))
    assert float(told) == pytest.approx(expected, abs=1e-4)


def test_pull__of_an_answer_given_twice_is_nothing_and_grows_without_a_jump() -> None:
    draw = np.random.default_rng(3)
    fragment, full = rows(draw, 1, DIMENSION), rows(draw, 1, DIMENSION)
    assert float(pull(fragment, fragment, full)) == 0
    towards = [float(pull(fragment + step * full, fragment, full)) for step in (1e-6, 1e-4, 1e-2, 0.04)]
    assert towards == sorted(towards)
    assert abs(towards[0]) < 1e-3
    assert towards[1] < 0.01  # far below DISTANCE_MIN the direction is not believed
    assert towards[3] > 0.4
    assert DISTANCE_MIN == 0.05


def test_honest_encoders__show_hardly_a_sign() -> None:
    for seed in range(5):
        terms = probe_terms(*shard(seed), counted())
        assert float(terms.probes.min()) == PROBES
        assert float(terms.bent.max()) <= 0.08 * PROBES
        assert float(terms.leaning.mean()) <= 0.22 * PROBES
        assert float(terms.pull.abs().max()) < 0.4


@pytest.mark.parametrize(("strength", "bent_min"), [(0.6, 0.9), (0.3, 0.6)])
def test_leaking_third__is_seen_and_nobody_else(strength: float, bent_min: float) -> None:
    committed, answer, full = shard(7)
    third = slice(0, ENCODERS // 3)
    terms = probe_terms(bend(committed, full, third, strength), answer, full, counted())
    assert float(terms.bent[third].min()) > bent_min * PROBES
    assert float(terms.bent[ENCODERS // 3 :].max()) <= 0.08 * PROBES
    assert float(terms.pull[third].min()) > float(terms.pull[ENCODERS // 3 :].max())


def test_weak_leak__leans_before_it_is_bent() -> None:
    committed, answer, full = shard(8)
    third = slice(0, ENCODERS // 3)
    terms = probe_terms(bend(committed, full, third, 0.1), answer, full, counted())
    assert float(terms.leaning[third].min()) > 2 * float(terms.bent[third].max())


def test_answer_made_up_from_the_parts__is_bent_the_other_way() -> None:
    committed, answer, full = shard(14)
    made_up = answer.clone()
    made_up[:4] = full[:4]  # the probe taken for the full view of its item
    terms = probe_terms(committed, made_up, full, counted())
    assert float(terms.bent[:4].min()) > 0.9 * PROBES
    assert float(terms.bent[4:].max()) <= 0.08 * PROBES


def test_near_majority_that_repeats_its_answers__makes_nobody_else_look_bent() -> None:
    committed, answer, full = shard(15, 30)
    repeated = answer.clone()
    repeated[:14] = committed[:14]
    terms = probe_terms(committed, repeated, full, counted(30))
    assert float(terms.bent[14:].mean()) <= 0.08 * PROBES
    assert float(terms.leaning[14:].mean()) <= 0.3 * PROBES


def test_pull_that_all_share__is_nobodys_sign() -> None:
    # What a missing word says is in the full view too: every model is pulled, more so by some items.
    committed, answer, full = shard(9)
    terms = probe_terms(bend(committed, full, slice(None), 0.2), answer, full, counted())
    assert float(terms.pull.min()) > 0.3
    assert float(terms.bent.max()) <= 0.08 * PROBES


def test_probe_left_unanswered__speaks_against_its_encoder() -> None:
    committed, answer, full = shard(10)
    for value in (torch.nan, torch.inf, 0.0):
        given_up = answer.clone()
        given_up[2, :5] = value
        terms = probe_terms(committed, given_up, full, counted())
        assert float(terms.bent[2]) >= 5
        assert float(terms.leaning[2]) >= 5
        others = [row for row in range(ENCODERS) if row != 2]
        plain = probe_terms(committed, answer, full, counted())
        assert torch.allclose(terms.pull[others], plain.pull[others])


def test_probe_that_does_not_count__changes_nothing() -> None:
    committed, answer, full = shard(11)
    some = counted()
    some[3] = False
    terms = probe_terms(committed, answer, full, some)
    assert (terms.probes[3], terms.bent[3], terms.leaning[3], terms.pull[3]) == (0, 0, 0, 0)
    rest = [row for row in range(ENCODERS) if row != 3]
    alone = probe_terms(committed[rest], answer[rest], full[rest], counted(ENCODERS - 1))
    for together, apart in zip(terms, alone, strict=True):
        assert torch.allclose(together[rest], apart)


@pytest.mark.parametrize("encoders", [1, 2])
def test_shard_too_small_for_a_majority__accuses_nobody(encoders: int) -> None:
    committed, answer, full = shard(12, encoders)
    terms = probe_terms(bend(committed, full, slice(0, 1), 0.6), answer, full, counted(encoders))
    assert float(terms.bent.max()) == 0


def test_batch_without_probes__has_terms_of_zero() -> None:
    nothing = torch.zeros(4, 0, DIMENSION)
    terms = probe_terms(nothing, nothing, nothing, torch.zeros(4, 0, dtype=torch.bool))
    assert all(torch.equal(term, torch.zeros(4, dtype=torch.float64)) for term in terms)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20)
def test_rounding__moves_no_term_by_more_than_rounding(seed: int) -> None:
    # An attester sums in another order: its terms must lie within the network's tolerance of the dealer's.
    draw = np.random.default_rng(seed)
    committed, answer, full = shard(seed)
    committed[1], answer[1], full[1] = committed[0], answer[0], full[0]  # two of one model
    committed[2] = answer[2]  # the same answer again
    plain = probe_terms(committed, answer, full, counted())
    noise = torch.from_numpy(draw.standard_normal((3, *full.shape)).astype(np.float32))
    shaken = torch.stack([committed, answer, full]) + 1e-7 * noise
    for told, again in zip(plain, probe_terms(*shaken, counted()), strict=True):
        assert float(((told - again).abs() / (1 + told.abs())).max()) < 1e-4


def test_order_of_encoders__changes_nothing() -> None:
    order = torch.from_numpy(np.random.default_rng(1).permutation(ENCODERS))
    answers = shard(13)
    plain = probe_terms(*answers, counted())
    turned = probe_terms(*(x[order] for x in answers), counted())
    for told, again in zip(plain, turned, strict=True):
        assert torch.allclose(told[order], again)


def test_constants__leave_no_room_for_liars_to_widen_the_spread() -> None:
    assert 0 < SPREAD_MIN < SPREAD_MAX <= 0.2
    assert LEANING.zero_at < LEANING.one_at <= BENT.zero_at < BENT.one_at
