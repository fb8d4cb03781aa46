"""What an attack on one shard achieves, by one rule."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from node.bench.mixing import mixed
from node.bench.scene import Answers, joined
from node.bench.shards import Shard, tensors
from scoring import ScoringRule, ShardScores, score_shard
from scoring.centring import centred, shard_means
from scoring.shaping import Shaping, fit_shaping
from scoring.views import Role, Views

NO_CONSENSUS = 1.0
"""The displacement of an item that has no consensus any more: it is lost to its users."""


@dataclass(frozen=True)
class Figures:
    """Of one attack, shard and rule. Displacements are means over items of 1 - cosine."""

    attacker_score: float
    """Mean."""
    attacker_score_best: float
    honest_score: float
    """Mean."""
    honest_score_alone: float
    """Mean where the attackers are not there at all."""
    weight_captured: float
    """Of all attackers together."""
    displacement: float
    """From the consensus of the honest alone."""
    displacement_shaped: float
    """The same after shaping both, fitted on the honest consensus of past rounds."""
    false_alarms: float
    """Share of the honest whose score falls to 0 or below half of theirs without the attackers."""
    pull: float
    """How much nearer the consensus comes to the attackers' own honest answers, in cosine."""

    def worst(self, other: Figures) -> Figures:
        """The worse of both, figure by figure, from the network's point of view."""
        better_high = {"honest_score", "honest_score_alone"}
        pairs = {one.name: (getattr(self, one.name), getattr(other, one.name)) for one in fields(self)}
        return Figures(**{name: (min if name in better_high else max)(pair) for name, pair in pairs.items()})


@dataclass(frozen=True)
class Baseline:
    """The honest alone, by one rule."""

    score: Tensor
    """[H]."""
    consensus: Tensor
    """[I, D]."""
    shaping: Shaping


def baseline(shard: Shard, rule: ScoringRule) -> Baseline:
    """Score the honest without the attackers, and fit the shaping on their consensus of past rounds."""
    honest = shard.answers.encoders(shard.honest)
    scores, means = _scored(honest, shard, rule)
    past = shard.past[torch.from_numpy(shard.honest)]
    rows = torch.nn.functional.normalize(torch.nn.functional.normalize(past, dim=2) - means[:, None], dim=2)
    shaping = fit_shaping(mixed(rows, scores.weight), rule.shaping_power)
    return Baseline(scores.score, scores.consensus, shaping)


def measure(shard: Shard, attacking: Answers, rule: ScoringRule, alone: Baseline) -> Figures:
    """Score the shard with the attackers' answers in place of their honest ones."""
    count = len(attacking)
    honest = shard.answers.encoders(shard.honest)
    scores, _ = _scored(joined([attacking, honest]), shard, rule)
    ours, theirs = scores.score[count:], scores.score[:count]
    fallen = (ours <= 0.5 * alone.score) & (alone.score > 0)
    own = _own_direction(shard)
    return Figures(
        float(theirs.mean()),
        float(theirs.max()),
        float(ours.mean()),
        float(alone.score.mean()),
        float(scores.weight[:count].sum()),
        _moved(alone.consensus, scores.consensus),
        _moved(alone.shaping.apply(alone.consensus), alone.shaping.apply(scores.consensus)),
        float(fallen.double().mean()),
        float((_cosine(scores.consensus, own) - _cosine(alone.consensus, own)).mean()),
    )


def _scored(answers: Answers, shard: Shard, rule: ScoringRule) -> tuple[ShardScores, Tensor]:
    """Scores, and the means [N, D] that an epoch record would hold of these encoders.

    With means the consensus is of centred answers, as in every epoch but the first: around zero, the
    direction that all answers share would hide what an attack displaces.
    """
    full, mask, inverse, share = tensors(answers, shard.share)
    means = shard_means(Views(full, mask, inverse, torch.ones(full.shape[1], dtype=torch.bool)))
    return score_shard(full, mask, inverse, share, rule, means=means), means


def _own_direction(shard: Shard) -> Tensor:
    """The mean centred full view of the attackers, had they been honest. -> [I, D]."""
    full, mask, inverse, _ = tensors(shard.answers.encoders(shard.attackers), shard.share)
    views = Views(full, mask, inverse, torch.ones(full.shape[1], dtype=torch.bool))
    return centred(views, shard_means(views))[Role("full", 0)].every_row().mean(0)


def _moved(before: Tensor, after: Tensor) -> float:
    """Mean of 1 - cosine over items, rounding below 0 left out."""
    return float((1 - _cosine(before, after)).clamp_min(0).mean())


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, [I, D] x [I, D] -> [I]; 1 - NO_CONSENSUS where either is missing."""
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=1)
    return torch.where(cosine.isfinite(), cosine, 1 - NO_CONSENSUS)
