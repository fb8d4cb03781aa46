"""Scores are those of the rule written straight away in float64, with scikit-learn's neighbours."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from scoring import HARDENED, HARDENED_4, LITERAL, ScoringRule, score_shard
from tests.support.scoring_in_numpy import score_in_numpy
from tests.support.synthetic_encoders import Shard, honest_shard, jittered, random_answers

torch.set_num_threads(1)

HONEST = honest_shard([0.9, 1.2, 1.6, 2.0, 2.5, 3.0, 1.0, 1.4], items=70, dimension=96)


def poisoned() -> Shard:
    """Some answers withheld, infinite, overflowing, zero, tiny; encoder 5 absent for the most part."""
    full, mask = HONEST.full.clone(), HONEST.mask.clone()
    full[3, 5], full[2, 7], full[1, 3], full[0, 9] = torch.nan, torch.inf, 3e38, 0.0
    mask[4, 11, 0], mask[4, 12, 1] = 1e-30, torch.nan
    full[5, 31:] = torch.nan
    return Shard(full, mask, HONEST.inverse, HONEST.share)


def leaking() -> Shard:
    """Encoder 6 answers each inverse with its mask: the medians are taken a second time, without it."""
    inverse = HONEST.inverse.clone()
    inverse[6] = HONEST.mask[6]
    return Shard(HONEST.full, HONEST.mask, inverse, HONEST.share)


def leaking_a_little() -> Shard:
    """Encoders 6 and 7 mix a bit of each mask into its inverse: one is judged better without both."""
    inverse = normalize(HONEST.inverse, dim=-1)
    inverse[6:] = 0.85 * inverse[6:] + 0.15 * normalize(HONEST.mask[6:], dim=-1)
    return Shard(HONEST.full, HONEST.mask, normalize(inverse, dim=-1), HONEST.share)


SHARDS = {
    "honest": HONEST,
    "poisoned": poisoned(),
    "leak": leaking(),
    "some leak": leaking_a_little(),
    "noise": HONEST.join(random_answers(HONEST)),
    "copies": HONEST.join(jittered(HONEST.encoders([0] * 5), 0.02)),
    "three masks": honest_shard([0.9, 1.2, 1.6, 2.0], items=130, masks=3, dimension=48),
}


@pytest.mark.parametrize("name", SHARDS)
@pytest.mark.parametrize("rule", [HARDENED, HARDENED_4, LITERAL], ids=lambda rule: rule.name)
def test_score_shard__says_what_the_rule_in_numpy_says(name: str, rule: ScoringRule) -> None:
    ours, theirs = score_shard(*SHARDS[name].arguments, rule), score_in_numpy(*SHARDS[name].arguments, rule)
    assert np.array_equal(ours.valid.numpy(), theirs.valid)
    assert set(theirs.terms) == set(ours.terms) - {"live"}
    live = ours.terms["live"] == 1
    for term, expected in theirs.terms.items():
        found = ours.terms[term]
        # Cosines near 1 make the leak's denominator a small difference.
        torch.testing.assert_close(found[live], expected[live], rtol=1e-4, atol=2e-5, msg=f"{term}: {found}")
    np.testing.assert_allclose(ours.score, theirs.score, rtol=0.0, atol=1e-4)
    np.testing.assert_allclose(ours.weight, theirs.weight, rtol=0.0, atol=5e-4)
    np.testing.assert_allclose(ours.consensus, theirs.consensus, rtol=0.0, atol=1e-4)
