"""The terms that compare each encoder's answers with its peers', role by role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers
from scoring.compiled.pairs import pair_statistics, similarities
from scoring.distances import pairwise
from scoring.local_outlier_factor import IDENTICAL, outlier_factor_of
from scoring.memory import chunk_items
from scoring.projection import mean_over
from scoring.rule import ScoringRule
from scoring.similarity import majority_similarity


class PeerTerms(NamedTuple):
    """Terms of n live encoders, float64."""

    local_outlier_factor: Tensor
    """[n]: mean over items, worst role."""
    majority_similarity: Tensor
    """[n]: mean over items, worst role."""
    cosine_sum: Tensor
    """[n, n]: over all views of all roles that both answered."""
    cosine_count: Tensor
    """[n, n]."""


def peer_terms(roles: Iterable[Answers], members: Tensor, present: Tensor, rule: ScoringRule) -> PeerTerms:
    """The terms of the encoders `members` [n], which answered where present [n, I]."""
    count = len(members)
    outlier, agreement = [], []
    cosine_sum = torch.zeros(count, count, dtype=torch.float64, device=present.device)
    cosine_count = torch.zeros_like(cosine_sum)
    for answers in roles:
        here = present & answers.dealt  # [n, I]
        factors = torch.ones(here.T.shape, device=present.device)
        cosines = torch.zeros_like(factors)
        for items in chunk_items(answers.raw, count, rule.lof_max_bytes):
            found = _statistics(answers.rows(items, members), here.T[items].contiguous(), rule, cosine_sum)
            factors[items], cosines[items] = found
        both = here.double()
        cosine_count += both @ both.T
        # A role that the encoder answered nowhere says nothing, rather than the worst.
        outlier.append(mean_over(factors.T, here, -torch.inf))
        agreement.append(mean_over(cosines.T, here, torch.inf))
    cosine_count.fill_diagonal_(0)
    return PeerTerms(torch.stack(outlier).amax(0), torch.stack(agreement).amin(0), cosine_sum, cosine_count)


def full_agreement(full: Answers, present: Tensor, peers: Tensor, rule: ScoringRule) -> Tensor:
    """Majority similarity of all N encoders' full views, [N, I]: those present [N, I] to those of `peers`.

    peers [N] bool: whose agreement counts, and half of whom are a majority.
    """
    count = len(present)
    majority, everyone = rule.majority(int(peers.sum())), torch.arange(count, device=present.device)
    cosines = torch.empty(present.T.shape, device=present.device)
    for items in chunk_items(full.raw, count, rule.lof_max_bytes):
        rows = full.rows(items, everyone)
        here = present.T[items].contiguous()  # [b, N]
        if compiled.serves(rows):
            found = torch.empty(here.shape)
            similarities(rows.numpy(), here.numpy(), (here & peers).numpy(), majority, found.numpy())
        else:
            pairs = pairwise(rows)._replace(present=here)
            found = majority_similarity(pairs, majority, here & peers)
        cosines[items] = found
    return cosines.T


def _statistics(rows: Tensor, here: Tensor, rule: ScoringRule, cosine_sum: Tensor) -> tuple[Tensor, Tensor]:
    """Outlier factors and majority similarities [b, n] of rows [b, n, D]; cosines are added to [n, n]."""
    majority = rule.majority(rows.shape[1])
    neighbors = rule.n_neighbors or majority
    if compiled.serves(rows):
        factors, cosines = torch.empty(here.shape), torch.empty(here.shape)
        pair_statistics(
            rows.numpy(),
            here.numpy(),
            neighbors,
            rule.reach_floor,
            IDENTICAL,
            majority,
            factors.numpy(),
            cosines.numpy(),
            cosine_sum.numpy(),
        )
        return factors, cosines
    pairs = pairwise(rows, here)
    cosine_sum += torch.where(pairs.both, pairs.product, 0.0).sum(0, dtype=torch.float64)
    return outlier_factor_of(pairs, neighbors, rule.reach_floor), majority_similarity(pairs, majority)
