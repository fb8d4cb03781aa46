"""Whether scores rank encoders as a held-out task does, and what each way of weighting makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from node.bench.mixing import mixed
from node.bench.retrieval import mean_reciprocal_rank_of_galleries
from node.bench.sample import Sample
from scoring import HARDENED, LITERAL, ScoringRule, score_shard
from scoring.centring import centred
from scoring.clones import likeness
from scoring.cross_fit import cross_fitted_weights
from scoring.shaping import fit_shaping
from scoring.views import Role, Views

RANKED_RULES: Final = (HARDENED, LITERAL)
CONSENSUS_NAMES: Final = MappingProxyType(
    {
        "best_single": "best single",
        "best_single_shaped": "best single, shaped",
        "plain": "plain mean",
        "plain_shaped": "plain mean, shaped",
        "weighted": "S^8",
        "weighted_shaped": "S^8, shaped",
        "cross_fitted_shaped": "cross-fitted, shaped",
    }
)
"""What is compared, and what people call it."""


@dataclass(frozen=True)
class Quality:
    """Mean reciprocal rank of one encoder alone."""

    raw: float
    shaped: float
    """Shaped by its own past."""


@dataclass(frozen=True)
class Ranked:
    """One network's encoders in one draw."""

    names: tuple[str, ...]
    quality: tuple[Quality, ...]
    """[N]."""
    score: Mapping[str, tuple[float, ...]]
    """By rule, S [N]: mean over shards."""
    weight: tuple[float, ...]
    """[N] of the hardened rule: mean over shards."""
    discrimination: tuple[float, ...]
    """[N] of the hardened rule, before its gates: mean over shards."""
    correlation: Mapping[str, float]
    """By rule, Spearman's rank correlation of score and raw quality."""


@dataclass(frozen=True)
class Compared:
    """One network in one draw: who is good, and the mean reciprocal rank of each consensus."""

    ranked: Ranked
    figures: Mapping[str, float]
    """By the names of CONSENSUS_NAMES."""

    @property
    def gain(self) -> float:
        """How far S^8 shaped is above the best single encoder shaped alike."""
        return self.figures["weighted_shaped"] - self.figures["best_single_shaped"]


def qualities(sample: Sample) -> dict[str, Quality]:
    """How good each encoder of a draw is alone, by name."""
    alone = torch.eye(len(sample.names), dtype=torch.float64)
    return {
        name: Quality(found(sample, weight), found(sample, weight, shaped=True))
        for name, weight in zip(sample.names, alone, strict=True)
    }


def compare(
    sample: Sample, alone: Mapping[str, Quality], shards: int, seed: int, rule: ScoringRule = HARDENED
) -> Compared:
    """Score a network in so many shards, and find with every consensus of its encoders.

    `alone` has the quality of each encoder; the best single one is the best at the very task it is measured
    by: no rule could choose better. The seed is that of the cross-fitted weights.
    """
    ranked, alike = _ranked(sample, alone, shards, rule)
    score = torch.tensor(ranked.score[rule.name], dtype=torch.float64)
    equal = torch.full_like(score, 1 / len(score))
    weight = torch.tensor(ranked.weight, dtype=torch.float64)
    parted = Views(sample.full, sample.mask, sample.inverse, _all(sample.full.shape[1:2]))
    roles = (Role("mask", 0), Role("inverse", 0))
    mask, inverse = (centred(parted, sample.means)[role].every_row()[:, :, None] for role in roles)
    fitted = cross_fitted_weights(
        mask, inverse, _all(mask.shape[:2]), score, torch.Generator().manual_seed(seed), alike=alike
    )
    figures = {
        "best_single": max(one.raw for one in ranked.quality),
        "best_single_shaped": max(one.shaped for one in ranked.quality),
        "plain": found(sample, equal),
        "plain_shaped": found(sample, equal, shaped=True),
        "weighted": found(sample, weight),
        "weighted_shaped": found(sample, weight, shaped=True),
        "cross_fitted_shaped": found(sample, fitted, shaped=True),
    }
    return Compared(ranked, figures)


def found(sample: Sample, weight: Tensor, *, shaped: bool = False) -> float:
    """Mean reciprocal rank of the consensus with these weights [N], shaped by its past if asked for.

    0 where nobody has weight.
    """
    if not bool(weight.sum() > 0):
        return 0.0
    first, second = (mixed(rows, weight) for rows in (sample.first, sample.second))
    if shaped:
        shaping = fit_shaping(mixed(sample.past, weight))
        first, second = shaping.apply(first), shaping.apply(second)
    return mean_reciprocal_rank_of_galleries(first, second)


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's: the correlation of ranks, ties sharing the mean of theirs. 0 where either is constant."""
    ranks = torch.stack([_ranks(torch.tensor(values, dtype=torch.float64)) for values in (one, other)])
    if bool((ranks == ranks[:, :1]).all(1).any()):
        return 0.0
    return float(torch.corrcoef(ranks)[0, 1])


def _ranked(
    sample: Sample, alone: Mapping[str, Quality], shards: int, rule: ScoringRule
) -> tuple[Ranked, Tensor]:
    """The scores and qualities, and how far the encoders are one [N, N]."""
    count = len(sample.names)
    quality = tuple(alone[name] for name in sample.names)
    scores = {one.name: torch.zeros(count, dtype=torch.float64) for one in (rule, LITERAL)}
    weight, discrimination = (torch.zeros(count, dtype=torch.float64) for _ in range(2))
    for items in torch.arange(sample.full.shape[1]).chunk(shards):
        views = (sample.full[:, items], sample.mask[:, items], sample.inverse[:, items], sample.share[items])
        for one in (rule, LITERAL):
            result = score_shard(*views, one, means=sample.means)
            scores[one.name] += result.score / shards
            if one is rule:
                weight += result.weight / shards
                discrimination += result.terms["discrimination"] / shards
    cosine = torch.einsum("nid,mid->nm", sample.past, sample.past).double()
    ranked = Ranked(
        sample.names,
        quality,
        {name: tuple(values.tolist()) for name, values in scores.items()},
        tuple(weight.tolist()),
        tuple(discrimination.tolist()),
        {
            name: rank_correlation(values.tolist(), [one.raw for one in quality])
            for name, values in scores.items()
        },
    )
    return ranked, likeness(cosine, torch.ones(sample.past.shape[:2], dtype=torch.float64), rule.clone_ramp)


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 1, ties at the mean of theirs. [N] -> [N]."""
    below = (values[None, :] < values[:, None]).sum(1).double()
    same = (values[None, :] == values[:, None]).sum(1).double()
    return below + (same + 1) / 2


def _all(shape: Sequence[int]) -> Tensor:
    return torch.ones(tuple(shape), dtype=torch.bool)
