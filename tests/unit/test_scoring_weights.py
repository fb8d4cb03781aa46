"""Weights: normalised, capped with near-copies, and indifferent to how often a model is entered."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scoring import Ramp
from scoring.centring import Answers, centred
from scoring.clones import likeness, mass
from scoring.consensus import consensus
from scoring.views import Role, Views
from scoring.weights import weights


def around_zero(full: Tensor) -> Answers:
    """Full views [N, I, D], centred by zero means."""
    none = full.new_empty(*full.shape[:2], 0, full.shape[2])
    views = Views(full, none, none, torch.zeros(full.shape[1], dtype=torch.bool))
    return centred(views, torch.zeros(len(full), full.shape[2]))[Role("full", 0)]


scores = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def weights_of(score: list[float], groups: list[int], cap: float = 0.25) -> Tensor:
    """Weights when encoders of one group are exact copies."""
    group = torch.tensor(groups)
    alike = (group[:, None] == group[None, :]).double()
    return weights(torch.tensor(score, dtype=torch.float64), alike, mass(alike), power=8.0, cap=cap)


@settings(max_examples=25)
@given(score=scores, data=st.data())
def test_weights__sum_to_one_and_no_group_passes_the_cap(score: list[float], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 5), min_size=len(score), max_size=len(score)))
    weight = weights_of(score, groups)
    raw = torch.tensor(score, dtype=torch.float64) ** 8
    if raw.sum() == 0:
        assert weight.eq(0).all()
        return
    assert weight.sum() == pytest.approx(1)
    assert (weight >= 0).all()
    assert weight[torch.tensor(score) == 0].eq(0).all()
    mass_of = [groups.count(group) for group in groups]
    independent = sum(s / max(score) / m for m, s in zip(mass_of, score, strict=True))
    cap = max(0.25, 1 / independent)
    shares = [float(weight[torch.tensor(groups) == group].sum()) for group in set(groups)]
    able = [g for g in set(groups) if any(raw[i] > 1e-30 for i, of in enumerate(groups) if of == g)]
    # Scores too small for a float cannot take what others must give up, and a cap near 1 is met slowly.
    if len(able) * cap >= 1 and cap <= 0.7:
        assert max(shares) <= cap + 1e-6


@settings(max_examples=50)
@given(score=st.lists(st.floats(0.02, 1), min_size=2, max_size=12), cap=st.floats(0.05, 0.6))
def test_weights__the_cap_on_others_does_not_lift_the_weakest_beyond_its_score(
    score: list[float], cap: float
) -> None:
    weight = weights_of(score, list(range(len(score))), cap)
    value = torch.tensor(score, dtype=torch.float64)
    highest = max(cap, float(value.max() / value.sum()))
    least = int(value.argmin())
    plain = float((value**8 / (value**8).sum())[least])
    assert float(weight[least]) <= max(plain, float(value[least] / value.max()) * highest) + 1e-4


@settings(max_examples=25)
@given(score=st.lists(st.floats(0.3, 1), min_size=2, max_size=12), seed=st.integers(0, 2**31))
def test_weights__follow_their_encoders_when_these_are_reordered(score: list[float], seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    likes = torch.rand(len(score), len(score), generator=draw, dtype=torch.float64)
    alike = torch.maximum((likes + likes.T) / 2, torch.eye(len(score)))
    order = torch.randperm(len(score), generator=draw)
    value = torch.tensor(score, dtype=torch.float64)
    plain = weights(value, alike, mass(alike), power=8.0, cap=0.25)
    moved = alike[order][:, order]
    torch.testing.assert_close(weights(value[order], moved, mass(moved), power=8.0, cap=0.25), plain[order])


@settings(max_examples=25)
@given(score=st.lists(st.floats(0.5, 1), min_size=4, max_size=8), copies=st.integers(1, 8))
def test_weights__copies_of_one_encoder_share_one_vote(score: list[float], copies: int) -> None:
    alone = weights_of(score, list(range(len(score))))
    copied = weights_of(score + [score[0]] * copies, [*range(len(score)), *[0] * copies])
    together = copied[0] + copied[len(score) :].sum()
    assert together == pytest.approx(float(alone[0]), abs=1e-6)


def test_weights__everyone_at_zero_gets_nothing() -> None:
    assert weights_of([0.0, 0.0, 0.0], [0, 1, 2]).eq(0).all()


def test_weights__caps_that_cannot_be_met_still_end_normalised() -> None:
    alike = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=torch.float64)
    weight = weights(torch.ones(3), alike, mass(alike), power=8.0, cap=0.25)
    assert weight.sum() == pytest.approx(1)
    assert (weight > 0.1).all()


def test_likeness__pairs_without_shared_views_are_two_encoders() -> None:
    sums = torch.tensor([[0.0, 5.0, 0.0], [5.0, 0.0, 4.6], [0.0, 4.6, 0.0]], dtype=torch.float64)
    here = torch.tensor([[1.0] * 5 + [0] * 5, [1] * 10, [0] * 5 + [1] * 5], dtype=torch.float64)
    alike = likeness(sums.clone(), here, Ramp(0.90, 0.97))
    expected = torch.tensor([[1, 1, 0], [1, 1, 0.02 / 0.07], [0, 0.02 / 0.07, 1]], dtype=torch.float64)
    torch.testing.assert_close(alike, expected)
    torch.testing.assert_close(likeness(sums, here, None), torch.eye(3, dtype=torch.float64))


def test_consensus__is_the_weighted_mean_of_valid_answers() -> None:
    full = torch.nn.functional.normalize(
        torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(1)), dim=2
    )
    weight = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    valid = torch.tensor([[True, False], [True, True], [True, True]])
    embedding = consensus(around_zero(full), weight, valid)
    torch.testing.assert_close(embedding[0], 0.5 * full[0, 0] + 0.3 * full[1, 0] + 0.2 * full[2, 0])
    torch.testing.assert_close(embedding[1], 0.6 * full[1, 1] + 0.4 * full[2, 1])


def test_consensus__is_nan_where_no_weighted_encoder_answered() -> None:
    weight = torch.tensor([1.0, 0.0], dtype=torch.float64)
    valid = torch.tensor([[True, False], [True, True]])
    embedding = consensus(around_zero(torch.eye(3)[:1].expand(2, 2, 3)), weight, valid)
    assert embedding[0].tolist() == [1, 0, 0]
    assert embedding[1].isnan().all()
