"""Strangers, wrong answers and copies do not decide about right answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from scoring import HARDENED, compiled, score_shard
from scoring.centring import centred
from scoring.clones import heard_by_medians
from scoring.peers import full_agreement
from scoring.projection import quantile_over
from scoring.views import Role, Views
from tests.support.synthetic_encoders import Shard, cabal_shard, honest_shard

torch.set_num_threads(1)

NOISES = [1.6 + 0.15 * one for one in range(16)]
HONEST = honest_shard(NOISES, dimension=96, seed=3)
VICTIM = 5


@pytest.mark.parametrize("spread", [0.0, 0.3, 2.0])
def test_strangers__just_short_of_half_cost_the_honest_no_item(spread: float) -> None:
    alone = score_shard(*HONEST.arguments)
    scores = score_shard(*HONEST.join(cabal_shard(HONEST, 14, spread)).arguments)
    assert scores.weight[16:].sum() == 0
    assert torch.equal(scores.valid[:16], alone.valid)
    torch.testing.assert_close(scores.score[:16], alone.score, rtol=0.0, atol=1e-6)


def test_strangers__are_nobodys_peers_where_the_honest_hardly_agree() -> None:
    faint = honest_shard([5.0 + 0.05 * one for one in range(16)], dimension=64, seed=3)
    shard = faint.join(cabal_shard(faint, 14, 0.0))
    assert score_shard(*shard.arguments).valid[:16].double().mean() > 0.99
    peers_all = replace(HARDENED, peer_similarity_min=-1.0)
    assert score_shard(*shard.arguments, peers_all).valid[:16].double().mean() < 0.8


def test_wrong_answers__to_some_items_cost_the_honest_none_of_these() -> None:
    order = torch.arange(64)
    order[20:] = order[20:].roll(7)
    lazy = HONEST.encoders(list(range(2, 9))).items(order)
    shard = HONEST.join(Shard(lazy.full, lazy.mask, lazy.inverse, HONEST.share))
    valid = score_shard(*shard.arguments).valid
    assert valid[:16].double().mean() > 0.99
    assert valid[16:, 20:].double().mean() < 0.35
    assert valid[16:, :20].double().mean() > 0.95


def test_framing__an_honest_encoder_by_forging_beside_its_answers_costs_it_nothing() -> None:
    framed = HONEST.encoders([VICTIM])
    shard = HONEST.join(replace(framed, inverse=framed.mask))
    alone, scores = score_shard(*HONEST.arguments), score_shard(*shard.arguments)
    assert scores.weight[16] == 0
    torch.testing.assert_close(scores.score[:16], alone.score, rtol=0.0, atol=0.01)


def test_copies__of_one_encoder_do_not_move_the_medians_of_others() -> None:
    copies = HONEST.encoders([VICTIM] * 12)
    alone, scores = score_shard(*HONEST.arguments), score_shard(*HONEST.join(copies).arguments)
    for name in ("innovation", "leak"):
        apart = (scores.terms[name][:16] - alone.terms[name]).abs()
        assert apart[torch.arange(16) != VICTIM].max() < 0.06


@given(st.permutations(range(6)))
@settings(max_examples=20)
def test_heard_by_medians__are_two_of_each_kind_in_any_order(order: list[int]) -> None:
    kinds = torch.tensor([0, 0, 0, 1, 1, 2])
    agreement = torch.tensor([0.5, 0.3, 0.4, 0.2, 0.1, 0.0])
    cosine = torch.where(kinds[:, None] == kinds[None, :], 0.9, 0.1) + (agreement[:, None] + agreement) / 100
    here = torch.ones(6, 7, dtype=torch.float64)
    sums = (cosine.double() * 7)[order][:, order]
    heard = heard_by_medians(sums, here, HARDENED)
    assert sorted(np.array(order)[heard.numpy()]) == [0, 2, 3, 4, 5]
    assert heard_by_medians(sums, here, replace(HARDENED, clone_ramp=None)).all()


@given(
    seed=st.integers(0, 2**31),
    count=st.integers(2, 13) | st.just(70),
    missing=st.floats(0, 0.6),
    strangers=st.integers(0, 5),
)
@settings(max_examples=40)
def test_full_agreement__compiled_kernels_and_torch_agree(
    seed: int, count: int, missing: float, strangers: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    rows = normalize(torch.randn(1, 5, 32, generator=draw) + torch.randn(count, 5, 32, generator=draw), dim=2)
    nothing = torch.full((count, 5, 0, 32), torch.nan)
    parted = torch.ones(5, dtype=torch.bool)
    full = centred(Views(rows, nothing, nothing, parted), torch.zeros(count, 32))[Role("full", 0)]
    present = torch.rand(count, 5, generator=draw) >= missing
    peers = torch.arange(count) >= strangers
    looks = (0.05, 0.3, -0.1)
    ours = full_agreement(full, present, peers, looks, HARDENED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "serves", lambda _: False)
        theirs = full_agreement(full, present, peers, looks, HARDENED)
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=1e-5)


@given(
    values=st.lists(st.floats(-1, 1), min_size=1, max_size=40),
    quantile=st.floats(0, 1),
    seed=st.integers(0, 2**31),
)
def test_quantile_over__is_numpys_inverted_distribution(
    values: list[float], quantile: float, seed: int
) -> None:
    rows = torch.tensor([values], dtype=torch.float64)
    counted = torch.rand(rows.shape, generator=torch.Generator().manual_seed(seed)) < 0.7
    found = float(quantile_over(rows, counted, quantile, otherwise=-7.0)[0])
    some = rows[counted].numpy()
    if len(some) == 0:
        assert found == -7.0
    else:
        assert found == np.quantile(some, quantile, method="inverted_cdf")


def test_innovation__is_low_for_who_fabricates_a_third_of_the_items() -> None:
    own = HONEST.encoders([VICTIM])
    parts = own.full[:, :22, None]
    mask, inverse = own.mask.clone(), own.inverse.clone()
    mask[:, :22], inverse[:, :22] = parts, parts
    honest = HONEST.encoders([one for one in range(16) if one != VICTIM])
    scores = score_shard(*honest.join(replace(own, mask=mask, inverse=inverse)).arguments)
    assert scores.terms["innovation"][15] < 0.1
    assert scores.terms["innovation"][:15].min() > 0.2
    assert scores.weight[15] == 0
