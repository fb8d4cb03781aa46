"""What an attester does: recompute with the dealer's mask, follow it at the border, contest it beyond."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from scoring import HARDENED, LITERAL, ScoringRule, score_shard
from tests.support.scores import same
from tests.support.synthetic_encoders import honest_shard, jittered, random_answers

torch.set_num_threads(1)

SHARD = honest_shard([0.9, 1.2, 1.6, 2.0, 2.5, 3.0], items=64, dimension=96)


# -----------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**31), rule=st.sampled_from([HARDENED, LITERAL]))
@settings(max_examples=15)
def test_score_shard__recomputing_with_the_dealers_mask_gives_the_dealers_numbers(
    seed: int, rule: ScoringRule
) -> None:
    draw = torch.Generator().manual_seed(seed)
    full = SHARD.full.clone()
    full[torch.rand(6, 64, generator=draw) < 0.1] = torch.nan
    full[torch.rand(6, 64, generator=draw) < 0.05] *= 3
    full[5] = random_answers(SHARD, seed).full[0]
    dealer = score_shard(full, *SHARD.arguments[1:], rule)
    attester = score_shard(full, *SHARD.arguments[1:], rule, valid=dealer.valid)
    assert same(dealer, attester)
    assert not attester.contested.any()


def with_norm(norm: float) -> torch.Tensor:
    """The full views with the one of encoder 1, item 2 at that norm."""
    full = SHARD.full.clone()
    full[1, 2] *= norm / full[1, 2].norm()
    return full


@pytest.mark.parametrize("threshold", [0.5, 2.0])
@pytest.mark.parametrize("off", [-2e-5, 2e-5])
def test_borderline__norm_within_tolerance_of_a_threshold_follows_the_dealer(
    threshold: float, off: float
) -> None:
    full = with_norm(threshold + off)
    own = score_shard(full, *SHARD.arguments[1:])
    assert own.borderline.nonzero().tolist() == [[1, 2]]
    assert bool(own.valid[1, 2]) == (0.5 < threshold + off < 2.0)
    other = own.valid.clone()
    other[1, 2] = ~other[1, 2]
    followed = score_shard(full, *SHARD.arguments[1:], valid=other)
    assert torch.equal(followed.valid, other)
    assert not followed.contested.any()


@pytest.mark.parametrize("norm", [0.49, 0.51, 1.0, 1.99, 2.01])
def test_borderline__norm_beyond_tolerance_is_decided(norm: float) -> None:
    own = score_shard(with_norm(norm), *SHARD.arguments[1:])
    assert not own.borderline.any()
    assert bool(own.valid[1, 2]) == (0.5 < norm < 2.0)
    other = own.valid.clone()
    other[1, 2] = ~other[1, 2]
    scores = score_shard(with_norm(norm), *SHARD.arguments[1:], valid=other)
    assert scores.contested.nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize(("off", "borderline"), [(-5e-5, True), (5e-5, True), (-5e-3, False), (5e-3, False)])
def test_borderline__centred_norm_near_its_threshold(off: float, borderline: bool) -> None:
    means = SHARD.full.mean(1)
    direction = normalize(means[1], dim=0)
    means[1] = 0.95 * direction
    away = normalize(SHARD.full[1, 2] - (SHARD.full[1, 2] @ direction) * direction, dim=0)
    # |cos a u + sin a w - .95 u|^2 = 1 + .9025 - 1.9 cos a
    cosine = (1.9025 - (0.1 + off) ** 2) / 1.9
    full = SHARD.full.clone()
    full[1, 2] = cosine * direction + (1 - cosine**2) ** 0.5 * away
    scores = score_shard(full, *SHARD.arguments[1:], means=means)
    assert bool(scores.borderline[1, 2]) == borderline
    if not borderline and off < 0:
        assert not scores.valid[1, 2]


@pytest.mark.parametrize(("off", "borderline"), [(-5e-5, True), (5e-5, True), (-1e-2, False), (1e-2, False)])
def test_borderline__item_similarity_near_its_threshold(off: float, borderline: bool) -> None:
    # Five peers agree on e0 exactly; the sixth answers item 2 at the least cosine + off to them.
    means = torch.zeros(6, 96)
    full = SHARD.full.clone()
    full[:5, 2] = 0.0
    full[:5, 2, 0] = 1.0
    cosine = HARDENED.item_similarity_min + off
    full[5, 2] = 0.0
    full[5, 2, 0], full[5, 2, 1] = cosine, (1 - cosine**2) ** 0.5
    scores = score_shard(full, *SHARD.arguments[1:], means=means)
    assert scores.borderline.nonzero().tolist() == ([[5, 2]] if borderline else [])
    assert bool(scores.valid[5, 2]) == (off > 0)


def test_contested__dealer_who_calls_a_withheld_answer_valid_is_contested_and_not_followed() -> None:
    full = SHARD.full.clone()
    full[1, 2] = torch.nan
    scores = score_shard(full, *SHARD.arguments[1:], valid=torch.ones(6, 64, dtype=torch.bool))
    assert scores.contested.nonzero().tolist() == [[1, 2]]
    assert not scores.valid[1, 2]
    assert scores.score.isfinite().all()


def test_contested__dealer_who_hides_an_encoder_is_contested_at_every_item() -> None:
    hidden = torch.ones(6, 64, dtype=torch.bool)
    hidden[0] = False
    scores = score_shard(*SHARD.arguments, valid=hidden)
    assert scores.contested[0].all()
    assert not scores.contested[1:].any()
    assert scores.score[0] == 0


def test_score_shard__float_noise_moves_scores_and_weights_within_tolerance() -> None:
    # What another machine's order of summation does, a hundred times over.
    near = jittered(SHARD, 1e-5)
    plain, other = score_shard(*SHARD.arguments), score_shard(*near.arguments)
    torch.testing.assert_close(other.score, plain.score, rtol=0.0, atol=1e-4)
    torch.testing.assert_close(other.weight, plain.weight, rtol=0.0, atol=1e-3)
