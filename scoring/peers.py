"""The terms that compare each encoder's answers with its peers', role by role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers
from scoring.compiled import pairs as kernels
from scoring.distances import pairwise
from scoring.item_terms import PairTerms
from scoring.median import sorting_network
from scoring.memory import chunk_items
from scoring.projection import mean_over
from scoring.role_distances import squared_distances
from scoring.rule import ScoringRule
from scoring.similarity import similarity_in_two_looks


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


def peer_terms(found: PairTerms, roles: Sequence[Answers], present: Tensor) -> PeerTerms:
    """The terms of n encoders, which answered where present [n, I], from those of each item."""
    here = present & torch.stack([answers.dealt for answers in roles])[:, None]  # [R, n, I]
    # A role that the encoder answered nowhere says nothing, rather than the worst.
    outlier = mean_over(found.outlier_factor.mT, here, -torch.inf)  # [R, n]
    agreement = mean_over(found.majority_similarity.mT, here, torch.inf)
    cosine_count = here.double() @ here.double().mT  # [R, n, I] @ [R, I, n]
    cosine_count.diagonal(dim1=1, dim2=2).zero_()
    return PeerTerms(outlier.amax(0), agreement.amin(0), found.cosine_sum, cosine_count)


def full_agreement(
    full: Answers, present: Tensor, peers: Tensor, least: Sequence[float], rule: ScoringRule
) -> Tensor:
    """Majority similarity of all N encoders' full views in two looks, by each bound of the first: [T, N, I].

    present [N, I]: whose answers there are; peers [N] bool: whose agreement counts.
    """
    count = len(present)
    minority, everyone = rule.minority(int(peers.sum())), torch.arange(count, device=present.device)
    here = present.T.contiguous()  # [I, N]
    counted = here & peers
    cosines = torch.empty(len(least), *here.shape, device=present.device)
    if compiled.serves(full.raw):
        constants = minority, np.array(least, np.float64), rule.encoders_min, sorting_network(count)
        for part, squared in squared_distances(full, everyone.numpy()):
            found = np.empty((len(least), *squared.shape[:2]), np.float32)
            kernels.similarities(squared, here[part].numpy(), counted[part].numpy(), *constants, found)
            cosines.numpy()[:, part] = found
        return cosines.transpose(1, 2)
    for items in chunk_items(full.raw, count, rule.lof_max_bytes):
        pairs = pairwise(full.rows(items, everyone))._replace(present=here[items])
        looks = similarity_in_two_looks(pairs, minority, counted[items], least, rule.encoders_min)
        cosines[:, items] = looks
    return cosines.transpose(1, 2)
