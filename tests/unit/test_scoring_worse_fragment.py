"""Leak and innovation are those of the worse fragment: one sound fragment does not excuse the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from scoring import ShardScores, score_shard
from tests.support.synthetic_encoders import honest_shard

NOISES = [0.1, 0.2, 0.2, 0.3, 0.3, 0.4]
AT = 2


def scores(change: str, role: str) -> ShardScores:
    """A shard where encoder AT changes one fragment of all items and leaves the other as it was."""
    shard = honest_shard(NOISES, masks=1)
    parts = {"mask": shard.mask[AT], "inverse": shard.inverse[AT]}
    whole, other = shard.full[AT, :, None], parts["inverse" if role == "mask" else "mask"]
    parts[role] = unit(unit(parts[role]) + unit(other)) if change == "leaks" else whole
    return score_shard(*shard.with_encoder(AT, shard.full[AT], parts["mask"], parts["inverse"]).arguments)


def unit(rows: Tensor) -> Tensor:
    return torch.nn.functional.normalize(rows, dim=-1)


@pytest.mark.parametrize("role", ["mask", "inverse"])
def test_leak__is_that_of_the_fragment_that_leaks_more(role: str) -> None:
    leak = scores("leaks", role).terms["leak"]
    assert leak[AT] > 0.5
    assert leak[torch.arange(len(NOISES)) != AT].max() < 0.1


@pytest.mark.parametrize("role", ["mask", "inverse"])
def test_innovation__is_that_of_the_fragment_that_says_less(role: str) -> None:
    innovation = scores("copies its full view", role).terms["innovation"]
    assert innovation[AT] < 0.1
    assert innovation[torch.arange(len(NOISES)) != AT].min() > innovation[AT] + 0.1
