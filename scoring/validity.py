"""Validity: which encoder answered which item, what was too near to say, and who is a live peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from scoring.centring import Answers
from scoring.peers import full_agreement
from scoring.rule import ScoringRule


class Validity(NamedTuple):
    """Decisions [N, I] bool."""

    valid: Tensor
    """The mask the round is scored with."""
    borderline: Tensor
    """Decided within the rule's tolerance of a threshold: attesters accept the dealer's decision here."""
    contested: Tensor
    """The dealer's mask disagrees and it is not borderline: ground for a dispute."""


def validity(roles: Sequence[Answers], given: Tensor | None, rule: ScoringRule) -> Validity:
    """Decide every item of every encoder.

    roles: the answers by role, full views first, of all N encoders; given [N, I]: the dealer's mask, which is
    scored with where finite.
    """
    exact = _well_formed(roles, rule, 0.0)
    strict, loose = (_well_formed(roles, rule, slack) for slack in (rule.tolerance, -rule.tolerance))
    cosine = _agreement(roles[0], exact, rule)
    if torch.equal(strict, loose):
        low = high = cosine
    else:  # whoever is a peer is itself undecided: look at both ends
        ends = torch.stack([cosine, *(_agreement(roles[0], peers, rule) for peers in (strict, loose))])
        low, high = ends.amin(0), ends.amax(0)
    least = rule.item_similarity_min
    measured = exact & (cosine >= least)
    surely = strict & (low >= least + rule.tolerance)
    maybe = loose & (high >= least - rule.tolerance)
    borderline = maybe & ~surely
    if given is None:
        return Validity(measured, borderline, torch.zeros_like(measured))
    known = torch.stack([one.norm.isfinite() | ~one.dealt for one in roles]).all(0)
    return Validity(given & known, borderline, (given != measured) & ~borderline)


def live_encoders(valid: Tensor, rule: ScoringRule) -> Tensor:
    """Who has at least the least share of valid items. [N, I] -> [N] bool."""
    return valid.sum(1) >= rule.live_share_min * valid.shape[1]


def _well_formed(roles: Sequence[Answers], rule: ScoringRule, slack: float) -> Tensor:
    """Every view of the item finite, of a sane norm, and not the encoder's constant. -> [N, I] bool."""
    decisions = []
    for answers in roles:
        norm, centred_norm = answers.norm, answers.centred_norm
        good = norm.isfinite() & (norm > rule.norm_min + slack) & (norm < rule.norm_max - slack)
        decisions.append((good & (centred_norm >= rule.centred_norm_min + slack)) | ~answers.dealt)
    return torch.stack(decisions).all(0)


def _agreement(full: Answers, peers: Tensor, rule: ScoringRule) -> Tensor:
    """Majority similarity of each answer of `peers` [N, I] to those of its live encoders. -> [N, I]."""
    return full_agreement(full, peers, live_encoders(peers, rule), rule)
