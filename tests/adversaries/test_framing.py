"""Framing: attackers answer honest encoders' masks for their inverses, to turn the medians against them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from node.bench.adversaries import ATTACKS
from node.bench.scene import Answers, Scene, joined
from node.bench.shards import tensors
from scoring import HARDENED, HARDENED_4, ScoringRule, ShardScores, score_shard
from tests.support.synthetic_encoders import honest_shard

torch.set_num_threads(1)

ENCODERS, FRAMERS = 15, 7


def scene(dimension: int, seed: int) -> Scene:
    """Seven of fifteen, the weakest, are attackers: as many as can be without being a majority."""
    noises = [3.0 + 0.1 * n for n in range(ENCODERS)]
    full, mask, inverse, share = (
        rows.numpy() for rows in honest_shard(noises, masks=1, dimension=dimension, seed=seed).arguments[:4]
    )
    every = Answers(full, mask, inverse)
    own, honest = list(range(ENCODERS - FRAMERS, ENCODERS)), list(range(ENCODERS - FRAMERS))
    draw = np.random.default_rng(seed)
    return Scene(every.encoders(own), every.encoders(honest), every.encoders([0]), share, draw)


def framed(here: Scene, rule: ScoringRule) -> ShardScores:
    return score_shard(*tensors(joined([ATTACKS["framing"](here), here.honest]), here.share), rule)


@pytest.mark.parametrize(("dimension", "seed"), [(32, 0), (64, 1)])
def test_framing__by_47_percent_wins_nothing_and_costs_the_honest_nothing(dimension: int, seed: int) -> None:
    here = scene(dimension, seed)
    alone = score_shard(*tensors(here.honest, here.share))
    beside = framed(here, HARDENED)
    assert beside.weight[:FRAMERS].sum() == 0
    torch.testing.assert_close(beside.score[FRAMERS:], alone.score, rtol=0.0, atol=0.02)
    # Medians that hear whoever leaks a little are turned against the best of the honest.
    assert (framed(here, HARDENED_4).score[FRAMERS:] < alone.score - 0.2).any()
