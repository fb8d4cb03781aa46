"""score_shard as dealers and attesters use it: what counts for what, recomputation, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from scoring import (
    GATED_TERMS,
    HARDENED,
    LITERAL,
    MEASURED_TERMS,
    ScoringError,
    ScoringRule,
    score_shard,
)
from tests.support.scores import same
from tests.support.synthetic_encoders import Shard, cabal_shard, honest_shard, jittered, random_answers

torch.set_num_threads(1)

NOISES = [0.9, 1.2, 1.6, 2.0, 2.5, 3.0]
SHARD = honest_shard(NOISES, items=64, dimension=96)
SMALL = replace(HARDENED, items_min=16)


def test_score_shard__returns_every_term_finite_and_in_range() -> None:
    scores = score_shard(*SHARD.arguments)
    expected = {*MEASURED_TERMS, *(f"{name}_ramp" for name in GATED_TERMS), "availability", "mass", "live"}
    assert set(scores.terms) == expected
    for values in scores.terms.values():
        assert values.shape == (6,)
        assert values.dtype is torch.float64
        assert values.isfinite().all()
    assert ((scores.score > 0) & (scores.score <= 1)).all()
    assert scores.weight.sum() == pytest.approx(1)
    assert scores.consensus.shape == (64, 96)
    assert scores.consensus.dtype is torch.float32
    assert scores.valid.all()
    assert not scores.borderline.any()
    assert not scores.contested.any()


def test_score_shard__honest_encoders_are_ranked_by_quality() -> None:
    # One shard has a spread of .04 in the score, so that only the mean over several ranks near neighbours.
    mean = torch.stack(
        [score_shard(*honest_shard(NOISES, dimension=96, seed=seed).arguments).score for seed in range(4)]
    ).mean(0)
    assert mean.argsort(descending=True).tolist() == list(range(6))


def test_score_shard__same_input_gives_the_same_bytes_and_leaves_it_alone() -> None:
    before = [tensor.clone() for tensor in SHARD.arguments]
    first, second = score_shard(*SHARD.arguments), score_shard(*SHARD.arguments)
    assert same(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, SHARD.arguments, strict=True))


@given(order=st.permutations(range(6)))
@settings(max_examples=10)
def test_score_shard__follows_encoders_in_any_order(order: list[int]) -> None:
    plain, moved = score_shard(*SHARD.arguments), score_shard(*SHARD.encoders(order).arguments)
    terms = {name: values[order] for name, values in plain.terms.items()}
    expected = replace(
        plain, score=plain.score[order], weight=plain.weight[order], valid=plain.valid[order], terms=terms
    )
    assert same(moved, expected, tolerance=1e-5)


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_score_shard__follows_items_in_any_order(seed: int) -> None:
    order = torch.randperm(64, generator=torch.Generator().manual_seed(seed))
    plain, moved = score_shard(*SHARD.arguments), score_shard(*SHARD.items(order).arguments)
    expected = replace(plain, consensus=plain.consensus[order], valid=plain.valid[:, order])
    assert same(moved, expected, tolerance=1e-5)


def test_score_shard__a_turned_space_scores_the_same() -> None:
    turn = torch.linalg.qr(torch.randn(96, 96, generator=torch.Generator().manual_seed(1))).Q
    turned = Shard(SHARD.full @ turn, SHARD.mask @ turn, SHARD.inverse @ turn, SHARD.share)
    plain, moved = score_shard(*SHARD.arguments), score_shard(*turned.arguments)
    # The median is taken by coordinate, so the terms that use it may move a little; scores may not.
    torch.testing.assert_close(moved.score, plain.score, rtol=0.0, atol=1e-4)


def test_score_shard__answers_count_by_direction_not_by_length() -> None:
    longer = Shard(SHARD.full * 1.5, SHARD.mask * 0.6, SHARD.inverse * 1.9, SHARD.share)
    plain, other = score_shard(*SHARD.arguments), score_shard(*longer.arguments)
    torch.testing.assert_close(other.score, plain.score, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 3e38, 0.0, 1e-30])
@pytest.mark.parametrize("role", ["full", "mask", "inverse"])
def test_score_shard__poisoned_view_withholds_its_item_only(poison: float, role: str) -> None:
    withheld = Shard(SHARD.full.clone(), SHARD.mask.clone(), SHARD.inverse.clone(), SHARD.share)
    poisoned = Shard(SHARD.full.clone(), SHARD.mask.clone(), SHARD.inverse.clone(), SHARD.share)
    withheld.full[3, 5] = torch.nan
    getattr(poisoned, role)[3, 5] = poison
    # Epoch means, so that a zero does not enter the encoder's own mean.
    means = SHARD.full.mean(1)
    one, other = (score_shard(*shard.arguments, means=means) for shard in (withheld, poisoned))
    assert not other.valid[3, 5]
    assert other.valid.sum() == other.valid.numel() - 1
    assert other.terms["availability"][3] == 63 / 64
    assert same(one, other, tolerance=1e-12)


def test_score_shard__encoder_with_three_quarters_of_its_items_is_a_peer_and_with_fewer_is_not() -> None:
    for kept, live in ((48, 1.0), (47, 0.0)):
        full = SHARD.full.clone()
        full[5, kept:] = torch.nan
        scores = score_shard(full, *SHARD.arguments[1:])
        assert scores.terms["live"][5] == live
        assert scores.terms["availability"][5] == kept / 64
        assert (scores.score[5] > 0) == (live == 1.0)
        if not live:
            alone = score_shard(*SHARD.encoders([0, 1, 2, 3, 4]).arguments)
            torch.testing.assert_close(scores.score[:5], alone.score, rtol=0.0, atol=1e-6)
            torch.testing.assert_close(scores.consensus, alone.consensus, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("encoders", [1, 2])
@pytest.mark.parametrize("rule", [HARDENED, LITERAL], ids=lambda rule: rule.name)
def test_score_shard__fewer_than_three_live_encoders_score_zero(encoders: int, rule: ScoringRule) -> None:
    scores = score_shard(*SHARD.encoders(list(range(encoders))).arguments, rule)
    assert scores.score.eq(0).all()
    assert scores.weight.eq(0).all()
    assert scores.consensus.isnan().all()


def test_score_shard__nobody_answers_and_nothing_breaks() -> None:
    nothing = torch.full_like(SHARD.full, torch.nan)
    parts = torch.full_like(SHARD.mask, torch.nan)
    scores = score_shard(nothing, parts, parts, SHARD.share)
    assert not scores.valid.any()
    assert scores.score.eq(0).all()


def test_score__is_the_product_of_the_rules_terms() -> None:
    shard = SHARD.join(cabal_shard(SHARD, 2, 0.1)).join(random_answers(SHARD))
    full = normalize(shard.full + 0.8 * shard.full[[1, 0, 3, 2, 5, 4, 7, 6, 8]], dim=-1)
    full[2, ::5] = torch.nan
    shard.inverse[5] = normalize(shard.inverse[5] + 5.0 * random_answers(SHARD).inverse[0], dim=-1)
    scores = score_shard(full, shard.mask, shard.inverse, shard.share)
    terms = scores.terms
    ends = {
        "differential": (0.5, 0.25),
        "local_outlier_factor": (2.2, 1.85),
        "majority_similarity": (0.06, 0.11),
        "innovation": (0.15, 0.20),
        "leak": (0.45, 0.30),
    }
    product = terms["discrimination"] * terms["availability"] ** 2
    for name, (zero_at, one_at) in ends.items():
        passed = ((terms[name] - zero_at) / (one_at - zero_at)).clamp(0, 1) * terms["live"]
        torch.testing.assert_close(terms[f"{name}_ramp"], passed)
        product = product * passed
    torch.testing.assert_close(scores.score, product)
    assert terms["live"].sum() >= 6
    assert 0 < terms["majority_similarity_ramp"][5] < 1


@pytest.mark.parametrize("role", ["full", "mask", "inverse"])
def test_local_outlier_factor__is_that_of_the_worst_role(role: str) -> None:
    noise = random_answers(SHARD)
    shard = SHARD.with_encoder(0, SHARD.full[0], SHARD.mask[0], SHARD.inverse[0])
    rows, other = getattr(shard, role), getattr(noise, role)[0]
    if role == "full":  # an item may only be so far off, or it is withheld
        rows[0] = normalize(rows[0] + 1.5 * other, dim=-1)
    else:
        rows[0, :, 1] = other[:, 1]
    plain, off = score_shard(*SHARD.arguments), score_shard(*shard.arguments)
    assert off.terms["local_outlier_factor"][0] > plain.terms["local_outlier_factor"][0] + 0.1


def test_local_outlier_factor__near_copies_do_not_push_the_others_out() -> None:
    shard = SHARD.join(jittered(SHARD.encoders([0] * 6), 0.02))
    bare = score_shard(*shard.arguments, replace(HARDENED, reach_floor=0.0))
    floored = score_shard(*shard.arguments)
    assert bare.terms["local_outlier_factor"][1:6].min() > 2
    assert floored.terms["local_outlier_factor"][1:6].max() < 2


# --- served items and full views only
# ------------------------------------------------------------------------


def served(count: int) -> torch.Tensor:
    """The last `count` of 64 items are served."""
    return torch.arange(64) < 64 - count


def test_score_shard__served_items_do_not_enter_discrimination_differential_innovation_or_leak() -> None:
    rule, scored = SMALL, served(24)
    changed = SHARD.encoders(list(range(6)))
    noise = random_answers(SHARD)
    mixed = Shard(changed.full, changed.mask.clone(), changed.inverse.clone(), changed.share)
    mixed.mask[0, ~scored] = noise.mask[0, ~scored]
    means = SHARD.full.mean(1)
    plain = score_shard(*SHARD.arguments, rule, scored=scored, means=means)
    other = score_shard(*mixed.arguments, rule, scored=scored, means=means)
    for name in ("discrimination", "differential", "differential_literal", "innovation", "leak"):
        assert torch.equal(plain.terms[name], other.terms[name]), name
    for name in ("local_outlier_factor", "majority_similarity"):
        assert plain.terms[name][0] != other.terms[name][0], name
    assert not plain.consensus.isnan().any()


def test_score_shard__scored_items_alone_give_the_same_fragment_terms() -> None:
    scored, means = served(24), SHARD.full.mean(1)
    rule = replace(SMALL, clone_ramp=None)  # who is a copy is decided over all items
    with_served = score_shard(*SHARD.arguments, rule, scored=scored, means=means)
    alone = score_shard(*SHARD.items(torch.arange(40)).arguments, rule, means=means)
    for name in ("discrimination", "differential", "differential_literal", "innovation", "leak"):
        torch.testing.assert_close(with_served.terms[name], alone.terms[name], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("fill", [float("nan"), 0.0, 3.0])
@pytest.mark.parametrize("share", [float("nan"), 0.0])
def test_score_shard__masks_of_items_without_parts_are_not_looked_at(fill: float, share: float) -> None:
    scored = served(8)
    shard = Shard(SHARD.full, SHARD.mask.clone(), SHARD.inverse.clone(), SHARD.share.clone())
    shard.mask[:, ~scored], shard.inverse[:, ~scored], shard.share[~scored] = fill, fill, share
    scores = score_shard(*shard.arguments, SMALL)
    assert scores.valid.all()
    assert (scores.score > 0.3).all()
    assert not scores.consensus.isnan().any()
    assert same(scores, score_shard(*shard.arguments, SMALL, parts=scored, scored=scored))
    empty = Shard(SHARD.full, shard.mask.clone(), shard.inverse.clone(), shard.share)
    empty.mask[:, ~scored], empty.inverse[:, ~scored] = torch.nan, torch.nan
    assert same(scores, score_shard(*empty.arguments, SMALL))


def test_score_shard__withheld_mask_of_an_item_with_parts_withholds_it() -> None:
    mask = SHARD.mask.clone()
    mask[2, 7, 1] = torch.nan
    scores = score_shard(SHARD.full, mask, SHARD.inverse, SHARD.share)
    assert not scores.valid[2, 7]


# --- means
# ---------------------------------------------------------------------------------------------------


def test_score_shard__epoch_zero_consensus_is_of_uncentred_answers() -> None:
    scores = score_shard(*SHARD.arguments)
    expected = torch.einsum("n,nid->id", scores.weight.float(), normalize(SHARD.full, dim=2))
    torch.testing.assert_close(scores.consensus, expected, rtol=0.0, atol=1e-5)


def test_score_shard__consensus_is_of_answers_centred_by_the_epochs_means() -> None:
    means = SHARD.full.mean(1)
    scores = score_shard(*SHARD.arguments, means=means)
    rows = normalize(normalize(SHARD.full, dim=2) - means[:, None], dim=2)
    torch.testing.assert_close(
        scores.consensus, torch.einsum("n,nid->id", scores.weight.float(), rows), rtol=0.0, atol=1e-5
    )


def test_score_shard__means_change_the_score_only_through_centring() -> None:
    views = torch.cat([SHARD.full[:, :, None], SHARD.mask, SHARD.inverse], 2)
    means = views.flatten(1, 2).mean(1)
    plain, given_means = score_shard(*SHARD.arguments), score_shard(*SHARD.arguments, means=means)
    torch.testing.assert_close(given_means.score, plain.score, rtol=0.0, atol=1e-5)


# --- refusals
# ------------------------------------------------------------------------------------------------


def test_score_shard__fewer_scored_items_than_the_rule_needs_void_the_scores() -> None:
    with pytest.raises(ScoringError, match="63 scored items, the rule needs 64"):
        score_shard(*SHARD.arguments, scored=served(1))


def test_score_shard__contradicting_flags_are_refused() -> None:
    everything = torch.ones(64, dtype=torch.bool)
    share = SHARD.share.clone()
    share[9] = torch.nan
    with pytest.raises(ScoringError, match="item 9 has parts but a mask share outside"):
        score_shard(*SHARD.arguments[:3], share, parts=everything)
    with pytest.raises(ScoringError, match="item 9 is scored but travels as a full view only"):
        score_shard(*SHARD.arguments[:3], share, scored=everything)
    with pytest.raises(ScoringError, match=r"scored is torch\.float32"):
        score_shard(*SHARD.arguments, scored=torch.ones(64))


def test_score_shard__wrong_shapes_are_refused() -> None:
    full, mask, inverse, share = SHARD.arguments
    with pytest.raises(ScoringError, match=r"give \[N,I,D\]"):
        score_shard(full[0], mask, inverse, share)
    with pytest.raises(ScoringError, match="inverse has shape"):
        score_shard(full, mask, inverse[:, :, :1], share)
    with pytest.raises(ScoringError, match="mask_share has shape"):
        score_shard(full, mask, inverse, share.T)
    with pytest.raises(ScoringError, match="valid has shape"):
        score_shard(*SHARD.arguments, valid=torch.ones(64, 6, dtype=torch.bool))
    with pytest.raises(ScoringError, match="means has shape"):
        score_shard(*SHARD.arguments, means=torch.zeros(6, 95))


def test_encoders_on_probation__are_scored_alike_and_have_no_weight() -> None:
    plain = score_shard(*SHARD.arguments)
    new = torch.tensor([index == int(plain.weight.argmax()) for index in range(len(plain.weight))])
    held = score_shard(*SHARD.arguments, probation=new)
    assert torch.equal(held.score, plain.score)
    assert held.weight[new].sum() == 0
    assert float(held.weight.sum()) == pytest.approx(1.0)
    assert score_shard(*SHARD.arguments, probation=torch.ones_like(new)).weight.sum() == 0


def test_unknown_means__are_those_over_the_shard() -> None:
    known = score_shard(*SHARD.arguments).means
    partly = known.clone()
    partly[2] = torch.nan
    one, other = (score_shard(*SHARD.arguments, means=means) for means in (known, partly))
    assert same(one, other, tolerance=1e-12)
    whole = score_shard(*SHARD.arguments, means=torch.full_like(known, torch.nan))
    assert same(one, whole, tolerance=1e-12)


def test_own_means__do_not_depend_on_what_answers_are_centred_on() -> None:
    plain = score_shard(*SHARD.arguments)
    other = score_shard(*SHARD.arguments, means=torch.zeros_like(plain.means))
    assert torch.equal(plain.means, other.means)
    units = torch.cat(
        [
            normalize(SHARD.full[1], dim=1),
            *(normalize(role[1].flatten(0, 1), dim=1) for role in (SHARD.mask, SHARD.inverse)),
        ]
    )
    torch.testing.assert_close(plain.means[1], units.mean(0), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("hole", [torch.inf, -torch.inf, torch.nan])
def test_means__with_a_hole_are_refused(hole: float) -> None:
    means = torch.zeros(6, 96)
    means[1, 3] = hole
    with pytest.raises(ScoringError, match="Inf or half a row of NaN"):
        score_shard(*SHARD.arguments, means=means)
