"""The terms that compare each encoder's answers with its peers', role by role."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from scoring.distances import pairwise
from scoring.local_outlier_factor import chunk_items, outlier_factor_of
from scoring.projection import mean_over
from scoring.rule import ScoringRule
from scoring.similarity import majority_similarity
from scoring.views import Role


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


def peer_terms(roles: dict[Role, tuple[Tensor, Tensor]], present: Tensor, rule: ScoringRule) -> PeerTerms:
    """Roles (items that have it [I], unit rows [n, I, D]) and present [n, I] -> the terms of n encoders."""
    count = present.shape[0]
    majority = rule.majority(count)
    neighbors = rule.n_neighbors or majority
    outlier, agreement = [], []
    cosine_sum = torch.zeros(count, count, dtype=torch.float64, device=present.device)
    cosine_count = torch.zeros_like(cosine_sum)
    for dealt, rows in roles.values():
        here = present & dealt  # [n, I]
        factors, cosines = (
            torch.ones_like(here, dtype=torch.float32),
            torch.zeros_like(here, dtype=torch.float32),
        )
        for chunk in chunk_items(here.shape[1], count, rule.lof_max_bytes):
            pairs = pairwise(rows[:, chunk].transpose(0, 1), here[:, chunk].T)
            factors[:, chunk] = outlier_factor_of(pairs, neighbors, rule.reach_floor).T
            cosines[:, chunk] = majority_similarity(pairs, majority).T
            cosine_sum += torch.where(pairs.both, pairs.product, 0.0).sum(0, dtype=torch.float64)
            cosine_count += pairs.both.sum(0)
        # A role that the encoder answered nowhere says nothing, rather than the worst.
        outlier.append(mean_over(factors, here, -torch.inf))
        agreement.append(mean_over(cosines, here, torch.inf))
    return PeerTerms(torch.stack(outlier).amax(0), torch.stack(agreement).amin(0), cosine_sum, cosine_count)
