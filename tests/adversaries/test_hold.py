"""What the hardened rule holds on real encoders, and what the literal rule does not."""

from __future__ import annotations

import pytest
import torch

from node.bench.adversaries import ATTACKS
from node.bench.scene import joined
from node.bench.shards import tensors
from scoring import HARDENED, LITERAL, ScoringRule, ShardScores, score_shard
from tests.support.embedded_shard import scene

torch.set_num_threads(1)

NOTHING = 0.02
"""The most weight that attackers together may hold."""
HELD = (
    "zero",
    "tiny-norm",
    "constant",
    "random",
    "colluding-random",
    "colluding-atoms",
    "rotated-cabal",
    "lone-rotation",
    "replay",
    "one-forward",
    "half-fabricated",
    "framing",
    "poison-nan",
    "poison-inf",
    "poison-3e38",
)


def attacked(name: str, attackers: int, rule: ScoringRule = HARDENED) -> ShardScores:
    """The shard's scores, attackers first."""
    here = scene(attackers)
    return score_shard(*tensors(joined([ATTACKS[name](here), here.honest]), here.share), rule)


@pytest.mark.parametrize("attackers", [1, 3])
@pytest.mark.parametrize("name", HELD)
def test_hardened__holds_it_and_still_hears_the_honest(name: str, attackers: int) -> None:
    scores = attacked(name, attackers)
    assert scores.weight[:attackers].sum() <= NOTHING
    # Not all: beside three strangers, an item that one of the five others sees otherwise has no majority.
    assert scores.consensus.isfinite().all(1).double().mean() >= 0.9
    assert (scores.score[attackers:] > 0).all()


@pytest.mark.parametrize("attackers", [1, 3])
def test_hardened__counts_shifted_and_near_copies_as_about_one(attackers: int) -> None:
    for name in ("near-copies-99", "constant-shift"):
        assert attacked(name, attackers).weight[:attackers].sum() <= 0.27


@pytest.mark.parametrize("name", ["zero", "tiny-norm"])
def test_literal__gives_nearly_everything_to_nothing_at_all(name: str) -> None:
    assert attacked(name, 1, LITERAL).weight[0] > 0.9
