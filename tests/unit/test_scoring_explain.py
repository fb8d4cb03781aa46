"""A score in words: the factors multiply to the score, and the dearest comes first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scoring import HARDENED, LITERAL, Ramp, ScoringError, ScoringRule, ShardScores, explain, score_shard
from scoring.terms import GATED_TERMS
from tests.support.synthetic_encoders import honest_shard

unit = st.floats(0, 1)
terms = st.fixed_dictionaries(
    {
        "discrimination": unit,
        "differential_literal": st.floats(0, 2),
        "availability": unit,
        "live": st.just(1.0),
        "differential": st.floats(0, 2),
        "local_outlier_factor": st.floats(0.5, 4),
        "majority_similarity": st.floats(-1, 1),
        "innovation": st.floats(-1, 1),
        "leak": st.floats(-1, 1),
    }
)


@pytest.fixture(scope="module")
def shard() -> ShardScores:
    """Four honest encoders and one that answers zeros."""
    honest = honest_shard([0.1, 0.2, 0.3, 0.4, 0.5])
    nothing = torch.zeros_like(honest.full[4])
    fragments = torch.zeros_like(honest.mask[4])
    return score_shard(*honest.with_encoder(4, nothing, fragments, fragments).arguments)


@given(terms, st.sampled_from([HARDENED, LITERAL]))
def test_factors__multiply_to_the_score(terms: dict[str, float], rule: ScoringRule) -> None:
    explanation = explain(terms, rule)
    product = explanation.base * math.prod(cost.factor for cost in explanation.costs)
    assert explanation.score == pytest.approx(product)
    for cost in explanation.costs:
        assert 0 <= cost.factor <= 1
        assert cost.lost >= -1e-12
        assert bool(cost.reason) == (cost.factor < 1)
    factors = [cost.factor for cost in explanation.costs]
    assert factors == sorted(factors)


@pytest.mark.parametrize("encoder", range(4))
def test_shard__explains_the_scores_it_gave(shard: ShardScores, encoder: int) -> None:
    explanation = shard.explain(encoder)
    assert explanation.score == pytest.approx(float(shard.score[encoder]))
    for cost in explanation.costs:
        assert cost.measured == float(shard.terms[cost.name][encoder])
        if cost.name in GATED_TERMS:
            assert cost.factor == pytest.approx(float(shard.terms[f"{cost.name}_ramp"][encoder]))
    assert f"score {float(shard.score[encoder]):.3f}, from discrimination" in str(explanation)


def test_encoder_of_zeros__was_nobodys_peer(shard: ShardScores) -> None:
    explanation = shard.explain(4)
    assert explanation.score == 0
    assert "fewer than 75% of its items are valid (0%)" in str(explanation)


def test_gate_that_is_shut__is_the_first_cost_and_says_what_it_means() -> None:
    rule = replace(HARDENED, leak_gate=Ramp(0.35, 0.20))
    good = {name: gate.one_at for name in GATED_TERMS if (gate := getattr(rule, f"{name}_gate"))}
    given = {"discrimination": 0.6, "differential_literal": 0.0, "availability": 0.9, "live": 1.0, **good}
    assert "no gate cost anything" in str(explain({**given, "availability": 1.0}, rule))
    said = str(explain({**given, "leak": 0.275}, rule)).splitlines()
    assert said == [
        "score 0.243, from discrimination 0.600",
        "  x 0.500 leak 0.275 is above 0.2: its fragments say what only the other fragment should: "
        "costs 0.243",
        "  x 0.810 90% of its items are valid: costs 0.057",
    ]


def test_terms_that_are_missing__are_named() -> None:
    with pytest.raises(ScoringError, match="without availability, differential,"):
        explain({"discrimination": 1.0, "live": 1.0, "differential_literal": 0.0}, HARDENED)
