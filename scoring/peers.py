"""The terms that compare each encoder's answers with its peers', role by role."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
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
from scoring.similarity import majority_similarity, similarity_in_two_looks


class PeerTerms(NamedTuple):
    """Terms of n live encoders, float64."""

    local_outlier_factor: Tensor
    """[n]: mean over items, worst role."""
    majority_similarity: Tensor
    """[n]: mean over items, worst role."""
    cosine_sum: Tensor
    """[R, n, n]: by role, over all views that both answered; 0 on the diagonal."""
    cosine_count: Tensor
    """[R, n, n]."""


def peer_terms(roles: Iterable[Answers], members: Tensor, present: Tensor, rule: ScoringRule) -> PeerTerms:
    """The terms of the encoders `members` [n], which answered where present [n, I]."""
    count = len(members)
    outlier, agreement = [], []
    sums, counts = [], []
    for answers in roles:
        cosine_sum = torch.zeros(count, count, dtype=torch.float64, device=present.device)
        here = present & answers.dealt  # [n, I]
        factors = torch.ones(here.T.shape, device=present.device)
        cosines = torch.zeros_like(factors)
        for items in chunk_items(answers.raw, count, rule.lof_max_bytes):
            found = _statistics(answers.rows(items, members), here.T[items].contiguous(), rule, cosine_sum)
            factors[items], cosines[items] = found
        both = here.double()
        sums.append(cosine_sum)
        counts.append((both @ both.T).fill_diagonal_(0))
        # A role that the encoder answered nowhere says nothing, rather than the worst.
        outlier.append(mean_over(factors.T, here, -torch.inf))
        agreement.append(mean_over(cosines.T, here, torch.inf))
    worst = torch.stack(outlier).amax(0), torch.stack(agreement).amin(0)
    return PeerTerms(*worst, torch.stack(sums), torch.stack(counts))


def full_agreement(
    full: Answers, present: Tensor, peers: Tensor, least: Sequence[float], rule: ScoringRule
) -> Tensor:
    """Majority similarity of all N encoders' full views in two looks, by each bound of the first: [T, N, I].

    present [N, I]: whose answers there are; peers [N] bool: whose agreement counts.
    """
    count = len(present)
    minority, everyone = rule.minority(int(peers.sum())), torch.arange(count, device=present.device)
    cosines = torch.empty(len(least), *present.T.shape, device=present.device)
    for items in chunk_items(full.raw, count, rule.lof_max_bytes):
        rows = full.rows(items, everyone)
        here = present.T[items].contiguous()  # [b, N]
        counted = (here & peers).contiguous()
        if compiled.serves(rows):
            found = torch.empty(len(least), *here.shape)
            bounds = np.array(least, np.float64)
            arrays = (rows.numpy(), here.numpy(), counted.numpy())
            similarities(*arrays, minority, bounds, rule.encoders_min, found.numpy())
        else:
            pairs = pairwise(rows)._replace(present=here)
            found = similarity_in_two_looks(pairs, minority, counted, least, rule.encoders_min)
        cosines[:, items] = found
    return cosines.transpose(1, 2)


def _statistics(rows: Tensor, here: Tensor, rule: ScoringRule, cosine_sum: Tensor) -> tuple[Tensor, Tensor]:
    """Outlier factors and majority similarities [b, n] of rows [b, n, D]; cosines are added to [n, n]."""
    majority = rule.majority(rows.shape[1])
    neighbors = rule.neighbors(rows.shape[1])
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
