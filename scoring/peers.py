"""The terms that compare each encoder's answers with its peers', role by role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers
from scoring.clones import heard_by_medians, likeness
from scoring.compiled import pairs as kernels
from scoring.distances import pairwise
from scoring.item_terms import pair_terms
from scoring.median import sorting_network
from scoring.memory import chunk_items
from scoring.projection import mean_over
from scoring.role_distances import squared_distances
from scoring.rule import ScoringRule
from scoring.similarity import similarity_in_two_looks
from scoring.views import FIRST, Role


class PeerTerms(NamedTuple):
    """Terms of n live encoders, float64."""

    local_outlier_factor: Tensor
    """[n]: mean over items, worst role."""
    majority_similarity: Tensor
    """[n]: mean over items, worst role."""
    alike: Tensor
    """[n, n] on the CPU: `likeness` over all views that both answered."""
    heard: Tensor
    """[3, n] bool: whose full views, masks and inverses the medians are taken over at first."""


def peer_terms(
    answers: Mapping[Role, Answers], members: Tensor, present: Tensor, rule: ScoringRule
) -> PeerTerms:
    """The terms of the encoders `members` [n], which answered where present [n, I]."""
    here = present & torch.stack([one.dealt for one in answers.values()])[:, None]  # [R, n, I]
    outlier, agreement = torch.empty(2, *here.shape[:2], dtype=torch.float64, device=present.device)
    heard: list[Tensor] = []
    # Below the diagonal of the role at hand, above it of all roles before.
    cosine_sum = torch.zeros(len(members), len(members), dtype=torch.float64)
    by_role = pair_terms(list(answers.values()), members, present, rule, cosine_sum)
    for place, (role, found) in enumerate(zip(answers, by_role, strict=True)):
        # A role that the encoder answered nowhere says nothing, rather than the worst.
        outlier[place] = mean_over(found.outlier_factor.mT, here[place], -torch.inf)
        agreement[place] = mean_over(found.majority_similarity.mT, here[place], torch.inf)
        if role in FIRST:
            heard.append(heard_by_medians(cosine_sum, here[place].double().cpu(), rule))
        kernels.add_across(cosine_sum.numpy())
    alike = likeness(cosine_sum, here.transpose(0, 1).flatten(1).double().cpu(), rule.clone_ramp)
    return PeerTerms(outlier.amax(0), agreement.amin(0), alike, torch.stack(heard).to(members.device))


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
