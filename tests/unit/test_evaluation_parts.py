"""Differential loss, recomposition and discrimination: by hand, and against the scoring of the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from node.evaluation.errors import EvaluationError
from node.evaluation.metrics import Parts, differential_loss, discrimination, recomposition
from node.evaluation.metrics.discrimination import BLOCK_ITEMS, BLOCK_ITEMS_MIN, TEMPERATURES
from scoring import HARDENED, HARDENED_1
from scoring.centring import centred, shard_means
from scoring.differential import differential, recomposed
from scoring.discrimination import block_cosines, blocks_of
from scoring.discrimination import discrimination as scored_discrimination
from scoring.views import Role, Views


def answers(seed: int, items: int = 150, dimensions: int = 24) -> Parts:
    """Parts that share a topic with their item, and something else."""
    random = np.random.default_rng(seed)
    topic = random.normal(size=(items, dimensions)) + 0.5
    share = random.uniform(0.2, 0.6, items)
    full, mask, inverse = (topic + 0.8 * random.normal(size=topic.shape) for _ in range(3))
    return Parts(full, mask, inverse, share)


def without(parts: Parts, places: list[int]) -> Parts:
    """The same, with masks unanswered."""
    mask = parts.mask.copy()
    mask[places] = np.nan
    return Parts(parts.full, mask, parts.inverse, parts.share)


def test_differential_loss__by_hand() -> None:
    rows = np.array([[3.0, 0.0], [0.0, 1.0], [np.nan, 0.0]])
    parts = Parts(rows, np.zeros((3, 2)), np.array([[0.0, 4.0], [0.0, 0.0], [0.0, 0.0]]), np.full(3, 0.5))
    assert differential_loss(parts).value == pytest.approx((5 + 1) / 2)


def test_differential_loss__refuses_a_model_without_answers() -> None:
    nothing = np.full((3, 2), np.nan)
    with pytest.raises(EvaluationError, match="no item with numbers"):
        differential_loss(Parts(nothing, nothing, nothing, np.full(3, 0.5)))


def test_recomposition__sums_of_parts_compose_and_noise_does_not() -> None:
    random = np.random.default_rng(0)
    mask, inverse = random.normal(size=(2, 200, 32))
    share = np.full(200, 0.4)
    # Centred on one mean of all views the parts of a sum keep their directions only nearly.
    assert recomposition(Parts(0.4 * mask + 0.6 * inverse, mask, inverse, share)).value < 0.02
    assert recomposition(Parts(random.normal(size=(200, 32)), mask, inverse, share)).value == pytest.approx(
        1, abs=0.05
    )


def test_recomposition__one_answer_to_everything_is_chance() -> None:
    same = np.ones((20, 4))
    assert recomposition(Parts(same, same, same, np.full(20, 0.5))).value >= 1


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 149), max_size=40))
@settings(max_examples=10, deadline=None)
def test_rule_terms__are_those_of_the_networks_scoring(seed: int, missing: list[int]) -> None:
    parts = without(answers(seed), missing)
    full, mask, inverse = (
        torch.tensor(one, dtype=torch.float32)[None] for one in (parts.full, parts.mask, parts.inverse)
    )
    views = Views(full, mask[:, :, None], inverse[:, :, None], torch.ones(full.shape[1], dtype=torch.bool))
    roles = centred(views, shard_means(views))
    whole, part, rest = (
        roles[role].every_row()[0].contiguous()
        for role in (Role("full", 0), Role("mask", 0), Role("inverse", 0))
    )
    counted = mask.isfinite().all(2)  # [1, I]
    share = torch.tensor(parts.share, dtype=torch.float32)
    own, across = recomposed(whole, part, rest, share, counted[0])
    expected = differential(own[None], across[None], counted)
    # The rule takes the mean over what was answered; here what was not counts as chance.
    answered = float(counted.float().mean())
    assert recomposition(parts).value == pytest.approx(float(expected) * answered + (1 - answered), abs=1e-4)
    cosines = []
    for block in blocks_of(full.shape[1], BLOCK_ITEMS):
        out = torch.empty(block.stop - block.start, block.stop - block.start)
        block_cosines(part[block], rest[block], out)
        cosines.append(out[None])
    scored = scored_discrimination(
        cosines, counted, temperatures=TEMPERATURES, block_items_min=BLOCK_ITEMS_MIN
    )
    found = discrimination(parts)
    assert found.value == pytest.approx(float(scored), abs=1e-4)
    assert found.low <= found.value <= found.high


def test_discrimination__has_the_constants_of_the_rule() -> None:
    assert HARDENED_1.temperatures == TEMPERATURES
    assert HARDENED_1.block_items == BLOCK_ITEMS
    assert HARDENED.block_items_min == BLOCK_ITEMS_MIN


def test_discrimination__ends_of_the_scale() -> None:
    apart = np.eye(64)
    assert discrimination(Parts(apart, apart, apart, np.full(64, 0.5))).value > 0.99
    same = np.ones((64, 4))
    assert discrimination(Parts(same, same, same, np.full(64, 0.5))).value == 0


def test_parts__refuse_shares_outside_zero_and_one() -> None:
    rows = np.ones((3, 2))
    with pytest.raises(EvaluationError, match="above 0 and below 1"):
        Parts(rows, rows, rows, np.array([0.5, 1.0, 0.5]))
