"""Cross-fitted weights: who takes part, what is invariant, what is capped, and whom they find."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from scoring import ScoringError
from scoring.cross_fit import CROSS_FIT, cross_fitted_weights
from tests.support.synthetic_encoders import honest_shard

torch.set_num_threads(1)

QUICK = replace(CROSS_FIT, steps=12)
seeds = st.integers(0, 2**16)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centred(rows: Tensor) -> Tensor:
    return normalize(rows - rows.mean((1, 2), keepdim=True), dim=-1)


def fragments(noises: list[float], seed: int = 0, items: int = 32) -> tuple[Tensor, Tensor]:
    """Masks and inverses [N, I, K, D], better encoders having less noise."""
    shard = honest_shard(noises, items=items, dimension=48, seed=seed)
    return centred(shard.mask), centred(shard.inverse)


def fit(mask: Tensor, inverse: Tensor, **given_: object) -> Tensor:
    count, items = mask.shape[:2]
    valid = given_.pop("valid", torch.ones(count, items, dtype=torch.bool))
    score = given_.pop("score", torch.ones(count, dtype=torch.float64))
    rule = given_.pop("rule", QUICK)
    draw = given_.pop("generator", generator())
    return cross_fitted_weights(mask, inverse, valid, score, draw, rule, **given_)  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 12), seed=seeds, dead=st.sets(st.integers(0, 11)))
def test_weights__sum_to_one_are_capped_and_pass_over_zero_scores(
    count: int, seed: int, dead: set[int]
) -> None:
    mask, inverse = fragments([1.0 + 0.2 * n for n in range(count)], seed, items=16)
    score = torch.tensor([0.0 if n in dead else 0.5 for n in range(count)], dtype=torch.float64)
    weight = fit(mask, inverse, score=score, generator=generator(seed))
    members = int((score > 0).sum())
    assert (weight[score == 0] == 0).all()
    assert (weight >= 0).all()
    if members:
        assert float(weight.sum()) == pytest.approx(1)
        assert float(weight.max()) <= max(0.25, 1 / members) + 1e-6
    else:
        assert float(weight.sum()) == 0


@settings(max_examples=10, deadline=None)
@given(seed=seeds, bad=st.sampled_from([torch.nan, 0.0, 3e38]))
def test_zero_score__changes_nothing_for_the_others(seed: int, bad: float) -> None:
    mask, inverse = fragments([0.8, 1.2, 2.0, 3.0], seed, items=16)
    alone = fit(mask, inverse, generator=generator(seed))
    poisoned = [torch.cat([rows[:2], torch.full_like(rows[:1], bad), rows[2:]]) for rows in (mask, inverse)]
    score = torch.tensor([0.4, 0.3, 0.0, 0.2, 0.1], dtype=torch.float64)
    joined = fit(*poisoned, score=score, generator=generator(seed))
    assert torch.equal(joined[[0, 1, 3, 4]], alone)


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_weights__are_the_same_in_a_turned_space_and_with_the_same_seed(seed: int) -> None:
    mask, inverse = fragments([0.8, 1.5, 2.5, 3.5, 1.0], seed, items=16)
    turn = torch.linalg.qr(torch.randn(48, 48, generator=generator(seed))).Q
    weight = fit(mask, inverse, generator=generator(seed))
    assert torch.equal(weight, fit(mask, inverse, generator=generator(seed)))
    turned = fit(mask @ turn, inverse @ turn, generator=generator(seed))
    torch.testing.assert_close(weight, turned, rtol=0, atol=2e-3)


def test_weights__differ_with_the_seed() -> None:
    mask, inverse = fragments([0.8, 1.5, 2.5, 3.5, 1.0])
    assert not torch.equal(fit(mask, inverse), fit(mask, inverse, generator=generator(1)))


def test_withheld__answers_may_be_anything() -> None:
    mask, inverse = fragments([0.8, 1.5, 2.5])
    valid = torch.ones(3, 32, dtype=torch.bool)
    valid[1, ::2] = False
    broken = [rows.clone() for rows in (mask, inverse)]
    for rows in broken:
        rows[1, ::2] = torch.nan
    assert torch.equal(fit(mask, inverse, valid=valid), fit(broken[0], broken[1], valid=valid))


@pytest.mark.parametrize("seed", [0, 1])
def test_weights__go_to_encoders_that_tell_items_apart(seed: int) -> None:
    noises = [1.0, 1.0, 1.0, 1.0, 6.0, 6.0, 6.0, 6.0]
    mask, inverse = fragments(noises, seed)
    weight = fit(mask, inverse, rule=CROSS_FIT)
    assert weight[:4].min() > 2 * weight[4:].max()


def test_random__encoder_ends_with_next_to_nothing() -> None:
    mask, inverse = fragments([1.0, 1.5, 2.0, 2.0, 2.5, 3.0])
    noise = [
        normalize(torch.randn(rows[:1].shape, generator=generator(n)), dim=-1)
        for n, rows in enumerate((mask, inverse))
    ]
    weight = fit(torch.cat([mask, noise[0]]), torch.cat([inverse, noise[1]]), rule=CROSS_FIT)
    assert weight[6] < 0.02


def test_near_copies__share_one_cap() -> None:
    mask, inverse = fragments([0.6, 2.0, 2.5, 3.0, 3.0, 3.5])
    order = [0, 0, 0, 1, 2, 3, 4, 5]
    alike = torch.eye(8, dtype=torch.float64)
    alike[:3, :3] = 1
    weight = fit(mask[order], inverse[order], alike=alike, rule=CROSS_FIT)
    assert weight[:3].sum() <= 0.25 + 1e-6
    assert weight[:3].sum() > 0.2


def test_fit__leaves_the_callers_gradients_as_they_are() -> None:
    mask, inverse = fragments([1.0, 2.0, 3.0])
    with torch.no_grad():
        fit(mask, inverse)
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("shape", "other", "message"),
    [
        ((3, 8, 1, 4), (3, 8, 2, 4), "give"),
        ((3, 1, 1, 4), (3, 1, 1, 4), "at least 2 items"),
        ((3, 8, 0, 4), (3, 8, 0, 4), "1 mask"),
    ],
)
def test_fit__refuses_shapes_that_say_nothing(
    shape: tuple[int, ...], other: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ScoringError, match=message):
        fit(torch.ones(shape), torch.ones(other))
