"""Validity: which encoder answered which item, what was too near to say, and who is a live peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from scoring.agreement import peer_agreement
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
    slacks = (0.0, rule.tolerance, -rule.tolerance)
    agreed = peer_agreement(roles[0], exact, rule)
    peers = agreed >= rule.peer_similarity_min
    looks = _majority_similarity(roles[0], exact, peers, slacks, rule)
    cosine, low, high = looks[0], looks.amin(0), looks.amax(0)
    for answered, slack in ((strict, rule.tolerance), (loose, -rule.tolerance)):
        same = torch.equal(answered, exact)
        there = agreed if same else peer_agreement(roles[0], answered, rule)
        others = there >= rule.peer_similarity_min + slack
        if not (same and torch.equal(others, peers)):  # whoever is a peer is itself undecided
            at_end = _majority_similarity(roles[0], answered, others, [slack], rule)[0]
            low, high = torch.minimum(low, at_end), torch.maximum(high, at_end)
    least = rule.item_similarity_min
    measured = exact & (cosine >= least)
    surely = strict & (low >= least + rule.tolerance)
    maybe = loose & (high >= least - rule.tolerance)
    borderline = maybe & ~surely
    if given is None:
        return Validity(measured, borderline, torch.zeros_like(measured))
    known = torch.stack([one.norm.isfinite() | ~one.dealt for one in roles]).all(0)
    return Validity(given & known, borderline, (given != measured) & ~borderline)


def _majority_similarity(
    full: Answers, answered: Tensor, peers: Tensor, slacks: Sequence[float], rule: ScoringRule
) -> Tensor:
    """Of all N encoders' full views, with every threshold off by each slack: [T, N, I].

    answered [N, I]; peers [N] bool: whose agreement may count. Who is found to answer too few items is no
    peer after all, and the others are asked again.
    """
    bounds = [rule.item_similarity_min + slack for slack in slacks]
    looks = full_agreement(full, answered, peers, bounds, rule)
    for look, bound in zip(looks, bounds, strict=True):
        share = (answered & (look >= bound)).double().mean(1)
        heard = peers & (share >= rule.peer_share_min)
        if not torch.equal(heard, peers):
            look[:] = full_agreement(full, answered, heard, [bound], rule)[0]
    return looks


def _well_formed(roles: Sequence[Answers], rule: ScoringRule, slack: float) -> Tensor:
    """Every view of the item finite, of a sane norm, and not the encoder's constant. -> [N, I] bool."""
    norm = torch.stack([answers.norm for answers in roles])
    centred_norm = torch.stack([answers.centred_norm for answers in roles])
    dealt = torch.stack([answers.dealt for answers in roles])  # [R, I]
    good = norm.isfinite() & (norm > rule.norm_min + slack) & (norm < rule.norm_max - slack)  # [R, N, I]
    good &= centred_norm >= rule.centred_norm_min + slack
    return (good | ~dealt[:, None]).all(0)
