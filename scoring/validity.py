"""Validity: which encoder answered which item, what was too near to say, and who is a live peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from scoring.centring import Centred
from scoring.distances import Pairs
from scoring.rule import ScoringRule
from scoring.similarity import majority_similarity


class Validity(NamedTuple):
    """Decisions [N, I] bool."""

    valid: Tensor
    """The mask the round is scored with."""
    borderline: Tensor
    """Decided within the rule's tolerance of a threshold: attesters accept the dealer's decision here."""
    contested: Tensor
    """The dealer's mask disagrees and it is not borderline: ground for a dispute."""


def validity(
    roles: Sequence[tuple[Tensor, Centred]], full_pairs: Pairs, given: Tensor | None, rule: ScoringRule
) -> Validity:
    """Decide every item of every encoder.

    roles: (items that have the role [I] bool, its centred answers); full_pairs: geometry of the centred
    full views, one item a batch entry, over all N encoders; given [N, I]: the dealer's mask, which is
    scored with where finite.
    """
    exact = _well_formed(roles, rule, 0.0)
    strict, loose = (_well_formed(roles, rule, slack) for slack in (rule.tolerance, -rule.tolerance))
    cosine = _agreement(full_pairs, exact, rule)
    if torch.equal(strict, loose):
        low = high = cosine
    else:  # whoever is a peer is itself undecided: look at both ends
        ends = torch.stack([cosine, *(_agreement(full_pairs, peers, rule) for peers in (strict, loose))])
        low, high = ends.amin(0), ends.amax(0)
    least = rule.item_similarity_min
    measured = exact & (cosine >= least)
    surely = strict & (low >= least + rule.tolerance)
    maybe = loose & (high >= least - rule.tolerance)
    borderline = maybe & ~surely
    if given is None:
        return Validity(measured, borderline, torch.zeros_like(measured))
    known = torch.stack([answers.norm.isfinite() | ~dealt for dealt, answers in roles]).all(0)
    return Validity(given & known, borderline, (given != measured) & ~borderline)


def live_encoders(valid: Tensor, rule: ScoringRule) -> Tensor:
    """Who has at least the least share of valid items. [N, I] -> [N] bool."""
    return valid.sum(1) >= rule.live_share_min * valid.shape[1]


def _well_formed(roles: Sequence[tuple[Tensor, Centred]], rule: ScoringRule, slack: float) -> Tensor:
    """Every view of the item finite, of a sane norm, and not the encoder's constant. -> [N, I] bool."""
    decisions = []
    for dealt, answers in roles:
        norm, centred_norm = answers.norm, answers.centred_norm
        good = norm.isfinite() & (norm > rule.norm_min + slack) & (norm < rule.norm_max - slack)
        decisions.append((good & (centred_norm >= rule.centred_norm_min + slack)) | ~dealt)
    return torch.stack(decisions).all(0)


def _agreement(full_pairs: Pairs, peers: Tensor, rule: ScoringRule) -> Tensor:
    """Majority similarity of each answer of `peers` [N, I] to those of its live encoders. -> [N, I]."""
    live = live_encoders(peers, rule)
    pairs = full_pairs._replace(present=peers.T)  # [I, N]
    return majority_similarity(pairs, rule.majority(int(live.sum())), (peers & live[:, None]).T).T
