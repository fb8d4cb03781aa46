"""Losses: by hand, against a second library, against numbers of the rule, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from scoring import ScoringError
from scoring.differential import differential as scored_differential
from scoring.differential import recomposed
from scoring.losses import (
    Distance,
    contrastive,
    differential,
    differential_literal,
    distillation,
    generalized_triplet,
    info_nce,
    n_pair,
    triplet,
)


def rows(*values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_contrastive__is_the_formula_by_hand() -> None:
    first, second = rows((0, 0), (0, 0), (0, 0)), rows((3, 4), (0.6, 0.8), (3, 4))
    marks = torch.tensor([1, 0, 0])
    # y D^2 + (1 - y) max(0, m - D)^2: 25; (2 - 1)^2; max(0, 2 - 5)^2.
    assert contrastive(first, second, marks, margin=2.0).item() == pytest.approx((25 + 1 + 0) / 3)


def test_triplet__is_the_formula_by_hand_in_both_forms() -> None:
    anchor, positive, negative = rows((0, 0), (0, 0)), rows((3, 4), (1, 0)), rows((0, 6), (0, 9))
    # 25 - 36 + 20 = 9, and 1 - 81 + 20 < 0; 5 - 6 + 2 = 1, and 1 - 9 + 2 < 0.
    assert triplet(anchor, positive, negative, 20.0).item() == pytest.approx(4.5)
    assert triplet(anchor, positive, negative, 2.0, Distance.PLAIN).item() == pytest.approx(0.5)


def test_generalized_triplet__takes_the_nearest_negative() -> None:
    anchor, positive = rows((0, 0), (10, 0), (0, 4)), rows((1, 0), (10, 1), (0, 3))
    # Squared distances to the others' positives: least 9 of {101, 9}, 81 of {81, 109}, 17 of {17, 109}.
    expected = (max(0, 1 - 9 + 10) + max(0, 1 - 81 + 10) + max(0, 1 - 17 + 10)) / 3
    assert generalized_triplet(anchor, positive, margin=10.0).item() == pytest.approx(expected)


def test_generalized_triplet__passes_over_items_that_are_no_negatives() -> None:
    anchor, positive = rows((0, 0), (10, 0), (0, 4)), rows((1, 0), (10, 1), (0, 3))
    negatives = torch.tensor([[False, True, False], [True, False, True], [False, True, False]])
    expected = (max(0, 1 - 101 + 10) + max(0, 1 - 81 + 10) + max(0, 1 - 109 + 10)) / 3
    assert generalized_triplet(anchor, positive, negatives, 10.0).item() == pytest.approx(expected)
    nobody = torch.zeros(3, 3, dtype=torch.bool)
    assert generalized_triplet(anchor, positive, nobody, 10.0).item() == 0


def test_n_pair__is_the_formula_by_hand() -> None:
    anchor, positive = rows((1, 0), (0, 2)), rows((1, 1), (3, 1))
    products = [[1.0, 3.0], [2.0, 2.0]]
    expected = (math.log1p(math.exp(products[0][1] - products[0][0])) + math.log1p(math.exp(0.0))) / 2
    assert n_pair(anchor, positive).item() == pytest.approx(expected)


def test_info_nce__is_the_formula_by_hand_both_ways() -> None:
    anchor, positive = rows((1, 0), (0, 2)), rows((3, 0), (4, 3))
    cosines = [[1.0, 0.8], [0.0, 0.6]]
    ways = []
    for table in (cosines, [list(column) for column in zip(*cosines, strict=True)]):
        for i in range(2):
            whole = sum(math.exp(one / 0.5) for one in table[i])
            ways.append(-math.log(math.exp(table[i][i] / 0.5) / whole))
    assert info_nce(anchor, positive, temperature=0.5).item() == pytest.approx(sum(ways) / 4)


def test_differential_literal__is_the_norm_of_what_is_left() -> None:
    full, mask, inverse = rows((4, 4), (1, 0)), rows((1, 0), (1, 0)), rows((0, 0), (0, 0))
    assert differential_literal(full, mask, inverse).item() == pytest.approx((5 + 0) / 2)


def test_differential__is_what_the_rule_scores() -> None:
    full, mask, inverse = (normalize(drawn(seed, 9, 5), dim=1) for seed in (1, 2, 3))
    share = torch.linspace(0.2, 0.6, 9, dtype=torch.float64)
    own, across = recomposed(full, mask, inverse, share, torch.ones(9, dtype=torch.bool))
    counted = torch.ones(1, 9, dtype=torch.bool)
    expected = scored_differential(own[None], across[None], counted)[0]
    assert differential(full, mask, inverse, share).item() == pytest.approx(expected.item(), rel=1e-5)


def test_differential__of_a_collapsed_space_is_no_better_than_chance() -> None:
    one, other, third = (1 + 1e-4 * drawn(seed, 6, 4) for seed in (4, 5, 6))
    assert differential(one, other, third, torch.full((6,), 0.5)).item() > 0.5
    assert differential_literal(0 * one, 0 * other, 0 * third).item() < 1e-9


def test_distillation__is_one_less_the_cosine() -> None:
    assert distillation(rows((1, 0), (0, 2)), rows((3, 4), (0, 5))).item() == pytest.approx((0.4 + 0) / 2)


@settings(max_examples=25)
@given(st.integers(0, 1_000), st.integers(2, 6), st.floats(0.1, 10.0))
def test_losses_of_directions__do_not_depend_on_norms(seed: int, count: int, scale: float) -> None:
    a, b, c = (drawn(seed + part, count, 4) for part in range(3))
    share = torch.full((count,), 0.4)
    for loss in (
        lambda x: info_nce(x, b),
        lambda x: distillation(x, b),
        lambda x: differential(x, b, c, share),
    ):
        torch.testing.assert_close(loss(a * scale), loss(a))


@given(st.integers(0, 1_000), st.integers(2, 6))
def test_generalized_triplet__is_never_below_any_choice_of_negatives(seed: int, count: int) -> None:
    anchor, positive = drawn(seed, count, 3), drawn(seed + 1, count, 3)
    hardest = generalized_triplet(anchor, positive, margin=0.5)
    for shift in range(1, count):
        assert hardest >= triplet(anchor, positive, positive.roll(shift, 0), 0.5) - 1e-12


def test_losses__agree_with_pytorch_metric_learning() -> None:
    from pytorch_metric_learning.distances import DotProductSimilarity, LpDistance
    from pytorch_metric_learning.losses import ContrastiveLoss, NPairsLoss, NTXentLoss, TripletMarginLoss
    from pytorch_metric_learning.reducers import DoNothingReducer, MeanReducer

    anchor, positive = drawn(10, 7, 5), drawn(11, 7, 5)
    both, labels = torch.cat((anchor, positive)), torch.arange(7).repeat(2)
    places = torch.arange(7)
    negative = positive.roll(2, 0)
    for power, form in ((1, Distance.PLAIN), (2, Distance.SQUARED)):
        theirs = TripletMarginLoss(
            margin=1.5,
            distance=LpDistance(normalize_embeddings=False, p=2, power=power),
            reducer=MeanReducer(),
        )
        triplets = (places, places + 7, (places + 7).roll(2))
        assert triplet(anchor, positive, negative, 1.5, form).item() == pytest.approx(
            theirs(both, labels, triplets).item()
        )
    # Theirs is D and max(0, m - D) pair by pair, without the squares.
    raw = ContrastiveLoss(
        pos_margin=0,
        neg_margin=3.0,
        distance=LpDistance(normalize_embeddings=False),
        reducer=DoNothingReducer(),
    )
    pairs = (places, places + 7, places, (places + 7).roll(2))
    found = raw(both, labels, pairs)
    squares = torch.cat([found[f"{sign}_loss"]["losses"].square() for sign in ("pos", "neg")])
    marks = torch.cat((torch.ones(7), torch.zeros(7)))
    ours = contrastive(anchor.repeat(2, 1), torch.cat((positive, negative)), marks, margin=3.0)
    assert ours.item() == pytest.approx((squares.sum() / 14).item())
    # NT-Xent of given pairs: each anchor's own positive against the positives of all others.
    nt_xent = NTXentLoss(temperature=0.3)
    apart = torch.nonzero(~torch.eye(7, dtype=torch.bool))
    one_way = (places, places + 7, apart[:, 0], apart[:, 1] + 7)
    other_way = (places + 7, places, apart[:, 0] + 7, apart[:, 1])
    theirs_both = (nt_xent(both, labels, one_way) + nt_xent(both, labels, other_way)) / 2
    assert info_nce(anchor, positive, temperature=0.3).item() == pytest.approx(theirs_both.item(), rel=1e-6)
    n_pairs = NPairsLoss(distance=DotProductSimilarity(normalize_embeddings=False))
    assert n_pair(anchor, positive).item() == pytest.approx(
        n_pairs(both, labels, (places, places + 7, apart[:, 0], apart[:, 1] + 7)).item()
    )


_SHARE = torch.full((4,), 0.4, dtype=torch.float64)
_MARKS = torch.tensor([1, 0, 1, 0])
_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "contrastive": lambda a, b, c: contrastive(a, b, _MARKS, 3.0) + 0 * c.sum(),
    "triplet": lambda a, b, c: triplet(a, b, c, 5.0),
    "triplet, plain": lambda a, b, c: triplet(a, b, c, 5.0, Distance.PLAIN),
    "generalized": lambda a, b, c: generalized_triplet(a, b, margin=5.0) + 0 * c.sum(),
    "n-pair": lambda a, b, c: n_pair(a, b) + 0 * c.sum(),
    "infonce": lambda a, b, c: info_nce(a, b) + 0 * c.sum(),
    "differential": lambda a, b, c: differential(a, b, c, _SHARE),
    "literal": differential_literal,
    "distillation": lambda a, b, c: distillation(a, b) + 0 * c.sum(),
}


@pytest.mark.parametrize("name", _LOSSES)
def test_loss__has_the_gradient_that_differences_say(name: str) -> None:
    parts = tuple(drawn(seed, 4, 3).requires_grad_() for seed in (21, 22, 23))
    assert torch.autograd.gradcheck(_LOSSES[name], parts)


@pytest.mark.parametrize("name", _LOSSES)
def test_loss__of_equal_rows_has_a_finite_gradient(name: str) -> None:
    parts = [torch.ones(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    _LOSSES[name](*parts).backward()
    for part in parts:
        assert part.grad is None or bool(part.grad.isfinite().all())


def test_losses__refuse_what_has_no_rows_for_each_item() -> None:
    good, short = drawn(1, 3, 4), drawn(2, 2, 4)
    for loss in (n_pair, info_nce, distillation, generalized_triplet):
        with pytest.raises(ScoringError, match="one shape"):
            loss(good, short)
    with pytest.raises(ScoringError, match="own negative"):
        info_nce(good, good, torch.ones(3, 3, dtype=torch.bool))
    with pytest.raises(ScoringError, match="two or more"):
        differential(good[:1], good[:1], good[:1], torch.ones(1))
    with pytest.raises(ScoringError, match="temperature"):
        info_nce(good, good, temperature=0)
