"""The hardened rule against cheats that statistics can see, and what the literal rule lets through."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from scoring import HARDENED, HARDENED_2, LITERAL, ShardScores, score_shard
from tests.support.synthetic_encoders import Shard, cabal_shard, honest_shard, jittered, random_answers

torch.set_num_threads(1)

NOISES = [1.6, 1.9, 2.2, 2.5, 2.8, 3.1, 3.4, 3.7]
"""Of each encoder: the two best agree at a cosine of .77, too little to count as copies."""
CHEAT = 7
NOTHING = 0.02
"""The most weight a cheat may hold."""


@pytest.fixture(params=[0, 1], scope="module")
def honest(request: pytest.FixtureRequest) -> Shard:
    return honest_shard(NOISES, dimension=96, seed=request.param)


def cheating(shard: Shard, full: Tensor, mask: Tensor, inverse: Tensor) -> ShardScores:
    """Scores when the worst encoder answers that instead."""
    return score_shard(*shard.with_encoder(CHEAT, full, mask, inverse).arguments)


def assert_nothing_won(scores: ShardScores, honest: Shard) -> None:
    """The cheat has no weight, and the honest have the scores they have without it."""
    assert scores.weight[CHEAT] <= NOTHING
    alone = score_shard(*honest.encoders(list(range(CHEAT))).arguments)
    torch.testing.assert_close(scores.score[:CHEAT], alone.score, rtol=0.0, atol=0.02)


def test_zero__is_withheld(honest: Shard) -> None:
    scores = cheating(honest, *(torch.zeros_like(x[0]) for x in honest.arguments[:3]))
    assert_nothing_won(scores, honest)
    assert scores.terms["availability"][CHEAT] == 0


@pytest.mark.parametrize("wobble", [0.0, 0.05])
def test_constant__is_withheld_by_its_centred_norm(honest: Shard, wobble: float) -> None:
    draw = torch.Generator().manual_seed(4)
    same = normalize(torch.randn(96, generator=draw), dim=0)

    def answers(like: Tensor) -> Tensor:
        return normalize(same + wobble * normalize(torch.randn(like.shape, generator=draw), dim=-1), dim=-1)

    scores = cheating(honest, *(answers(x[0]) for x in honest.arguments[:3]))
    assert_nothing_won(scores, honest)
    assert scores.terms["live"][CHEAT] == 0


def test_random__agrees_with_no_majority(honest: Shard) -> None:
    noise = random_answers(honest)
    scores = cheating(honest, noise.full[0], noise.mask[0], noise.inverse[0])
    assert_nothing_won(scores, honest)


@pytest.mark.parametrize("shift", [1, 17, "one item"])
def test_replay__of_other_items_answers_gains_nothing(honest: Shard, shift: int | str) -> None:
    order = torch.zeros(64, dtype=torch.long) if isinstance(shift, str) else torch.arange(64).roll(shift)
    scores = cheating(honest, honest.full[0, order], honest.mask[0, order], honest.inverse[0, order])
    assert_nothing_won(scores, honest)


@pytest.mark.parametrize("noise", [0.0, 0.3, 0.6])
def test_forged_inverse__near_the_mask_finds_itself_but_leaks_and_says_nothing_new(
    honest: Shard, noise: float
) -> None:
    step = normalize(torch.randn(honest.mask[4].shape, generator=torch.Generator().manual_seed(5)), dim=-1)
    scores = cheating(
        honest, honest.full[4], honest.mask[4], normalize(honest.mask[4] + noise * step, dim=-1)
    )
    assert_nothing_won(scores, honest)
    assert scores.terms["discrimination"][CHEAT] > 0.99
    assert scores.terms["leak_ramp"][CHEAT] * scores.terms["innovation_ramp"][CHEAT] < 0.2


def test_forged_full__from_the_parts_gains_nothing_over_answering(honest: Shard) -> None:
    share = honest.share[:, :1]
    parts = share * honest.mask[CHEAT, :, 0] + (1 - share) * honest.inverse[CHEAT, :, 0]
    scores = cheating(honest, normalize(parts, dim=-1), honest.mask[CHEAT], honest.inverse[CHEAT])
    plain = score_shard(*honest.arguments)
    assert scores.terms["differential"][CHEAT] < 0.2 * plain.terms["differential"][CHEAT]
    assert scores.score[CHEAT] <= plain.score[CHEAT] + 1e-3
    assert scores.weight[CHEAT] <= plain.weight[CHEAT] + 1e-3


def test_leak__of_the_whole_full_view_into_the_parts_is_gated(honest: Shard) -> None:
    parts = honest.full[4][:, None].expand(-1, 2, -1)
    scores = cheating(honest, honest.full[4], parts, parts)
    assert_nothing_won(scores, honest)
    assert scores.terms["leak_ramp"][CHEAT] == 0
    assert scores.terms["innovation_ramp"][CHEAT] < 1e-3


def test_noncompositional__full_unrelated_to_its_parts_is_gated(honest: Shard) -> None:
    order = torch.arange(64).roll(1)
    scores = cheating(honest, honest.full[4], honest.mask[4, order], honest.inverse[4, order])
    assert_nothing_won(scores, honest)
    assert scores.terms["differential_ramp"][CHEAT] == 0


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1, 0.3])
def test_cabal__of_three_in_eight_in_a_space_of_its_own_holds_nothing(honest: Shard, spread: float) -> None:
    shard = honest.encoders([0, 1, 2, 3, 4]).join(cabal_shard(honest, 3, spread))
    scores = score_shard(*shard.arguments)
    assert scores.weight[5:].sum() <= NOTHING
    assert scores.score[:5].min() > 0.5


@pytest.mark.parametrize("spread", [0.02, 0.3])
@pytest.mark.parametrize("loyalty", [0.45, 0.6])
def test_cabal__that_stays_similar_enough_is_an_outlier_of_the_majority(
    honest: Shard, spread: float, loyalty: float
) -> None:
    made_up = cabal_shard(honest, 3, spread)

    def pulled(own: Tensor, other: Tensor) -> Tensor:
        return normalize(loyalty * own[:1] + other, dim=-1)

    colluders = Shard(
        pulled(honest.full, made_up.full),
        pulled(honest.mask, made_up.mask),
        pulled(honest.inverse, made_up.inverse),
        honest.share,
    )
    shard = honest.encoders([0, 1, 2, 3, 4]).join(colluders)
    scores = score_shard(*shard.arguments)
    alone = score_shard(*honest.encoders([0, 1, 2, 3, 4]).arguments)
    assert (scores.terms["local_outlier_factor"][5:] > scores.terms["local_outlier_factor"][:5].max()).all()
    # Inside the gates they hold no more than their heads, or one vote together where they are near-copies.
    assert scores.weight[5:].sum() <= (0.25 + 1e-6 if spread < 0.1 else 3 / 8)
    torch.testing.assert_close(scores.score[:5], alone.score, rtol=0.0, atol=0.02)


@pytest.mark.parametrize("copies", [1, 2, 3])
@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.2])
def test_copies__of_the_best_encoder_share_about_one_vote(honest: Shard, copies: int, jitter: float) -> None:
    five = honest.encoders([0, 1, 2, 3, 4])
    alone = score_shard(*five.arguments)
    shard = five.join(jittered(honest.encoders([0] * copies), jitter))
    scores = score_shard(*shard.arguments)
    together = scores.weight[0] + scores.weight[5:].sum()
    assert together <= alone.weight[0] + 0.05
    assert scores.terms["mass"][0] == pytest.approx(1 + copies, abs=0.25 if jitter < 0.2 else 1.0)
    torch.testing.assert_close(scores.score[1:5], alone.score[1:], rtol=0.0, atol=0.05)


def test_silence__costs_the_square_of_what_was_withheld(honest: Shard) -> None:
    full = honest.full.clone()
    full[0, ::4] = torch.nan
    plain = score_shard(*honest.arguments)
    scores = score_shard(full, *honest.arguments[1:])
    assert scores.terms["availability"][0] == 0.75
    assert scores.score[0] == pytest.approx(float(plain.score[0]) * 0.75**2, abs=0.03)
    # Leaving items out does not make the rest look much easier: the loss is over the ln of what was answered.
    assert scores.terms["discrimination"][0] <= plain.terms["discrimination"][0] + 0.04


def test_two_cheats__of_each_kind_among_eight_hold_nothing(honest: Shard) -> None:
    six = honest.encoders([0, 1, 2, 3, 4, 5])
    noise = [random_answers(honest, seed) for seed in (1, 2)]
    order = torch.arange(64).roll(3)
    stale = honest.encoders([0]).items(order)
    replay = Shard(stale.full, stale.mask, stale.inverse, honest.share)
    for cheats in (noise[0].join(noise[1]), replay.join(replay), noise[0].join(replay)):
        assert score_shard(*six.join(cheats).arguments).weight[6:].sum() <= NOTHING


def test_literal_rule__lets_zeros_win_what_the_hardened_rule_refuses(honest: Shard) -> None:
    shard = honest.with_encoder(CHEAT, *(torch.zeros_like(x[0]) for x in honest.arguments[:3]))
    assert score_shard(*shard.arguments, LITERAL).weight[CHEAT] > 0.95
    assert score_shard(*shard.arguments).weight[CHEAT] == 0


def test_literal_rule__ranks_honest_encoders_backwards(honest: Shard) -> None:
    literal, hardened = score_shard(*honest.arguments, LITERAL), score_shard(*honest.arguments)
    quality = -torch.tensor(NOISES, dtype=torch.float64)
    assert torch.corrcoef(torch.stack([literal.weight, quality]))[0, 1] < -0.8
    assert torch.corrcoef(torch.stack([hardened.score, quality]))[0, 1] > 0.8


def lazy_coalition(noises: list[float], dimension: int, seed: int) -> Shard:
    """The last seven encode a third of the items, the same one, and answer the others with its vectors."""
    shard = honest_shard(noises, dimension=dimension, seed=seed)
    items = shard.full.shape[1]
    order = torch.arange(items)
    order[items // 3 :] = torch.arange(items - items // 3) % (items // 3)
    for n in range(len(noises) - 7, len(noises)):
        shard = shard.with_encoder(n, *(x[n, order] for x in shard.arguments[:3]))
    return shard


def test_lazy_coalition__at_47_percent_costs_the_honest_nothing() -> None:
    shard = lazy_coalition([2.2 + 0.1 * n for n in range(15)], dimension=32, seed=3)
    alone = score_shard(*shard.encoders(list(range(8))).arguments)
    beside, before = (score_shard(*shard.arguments, rule=rule) for rule in (HARDENED, HARDENED_2))
    assert beside.weight[8:].sum() == 0
    torch.testing.assert_close(beside.score[:8], alone.score, rtol=0.0, atol=0.01)
    # Where they stay peers, an honest encoder needs the agreement of all the honest, the weakest among them.
    assert (before.score[:8] < alone.score - 0.2).any()


def test_lazy_coalition__does_not_find_its_own_answers_valid() -> None:
    shard = lazy_coalition([3.6 + 0.2 * n for n in range(15)], dimension=48, seed=4)
    unasked = replace(HARDENED, peer_share_min=0.0)
    scores, before = (score_shard(*shard.arguments, rule=rule) for rule in (HARDENED, unasked))
    assert scores.terms["live"].tolist() == [1.0] * 8 + [0.0] * 7
    # Who has a say on its own coalition's answers keeps enough of them to be a peer.
    assert before.terms["live"][8:].sum() > 0
    assert (before.score[:8] < scores.score[:8] - 0.2).any()
