"""The scores of one shard: every term, the score, the weight and the consensus of its encoders."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scoring.agreement import live_encoders
from scoring.centring import centred, looked_over
from scoring.clones import mass
from scoring.consensus import consensus
from scoring.explain import Explanation, explain
from scoring.fragments import Fragments, own_terms
from scoring.hearing import heard_terms
from scoring.peers import peer_terms
from scoring.precision import pinned_precision
from scoring.projection import mean_over
from scoring.rule import HARDENED, ScoringRule
from scoring.terms import no_terms, ramps, score_of
from scoring.validity import validity
from scoring.views import FIRST, Batch, Role, checked_batch
from scoring.weights import weights


@dataclass(frozen=True)
class ShardScores:
    """What a dealer reports of a shard and an attester recomputes."""

    score: Tensor
    """S [N] float64 in [0, 1]."""
    weight: Tensor
    """[N] float64, sums to 1, or all 0 if nobody scores."""
    consensus: Tensor
    """[I, D] float32, raw (not normalised); NaN rows where no encoder with weight answered validly."""
    valid: Tensor
    """[N, I] bool: what was scored with."""
    terms: dict[str, Tensor]
    """[N] float64 each: MEASURED_TERMS, X_ramp for X of GATED_TERMS, availability, mass, live (1 or 0).

    Where live is 0 nothing was measured: the measured terms and ramps read 0, mass 1.
    """
    means: Tensor
    """[N, D] float32: the mean of each encoder's own unit answers, whatever was centred on."""
    borderline: Tensor
    """[N, I] bool: decided within the tolerance of a threshold; there an attester takes the dealer's."""
    contested: Tensor
    """[N, I] bool: the mask that was given disagrees with what is measured here, beyond the borderline."""
    rule: ScoringRule
    """What was scored by."""

    def explain(self, encoder: int) -> Explanation:
        """Why encoder number `encoder` has its score: which factor cost what; `str` of it is prose."""
        return explain({name: float(values[encoder]) for name, values in self.terms.items()}, self.rule)


@torch.no_grad()
def score_shard(
    full: Tensor,
    mask: Tensor,
    inverse: Tensor,
    mask_share: Tensor,
    rule: ScoringRule = HARDENED,
    *,
    means: Tensor | None = None,
    scored: Tensor | None = None,
    parts: Tensor | None = None,
    valid: Tensor | None = None,
    probation: Tensor | None = None,
) -> ShardScores:
    """Score N encoders on I items with K masks each.

    full [N,I,D]; mask, inverse [N,I,K,D], NaN for withheld, of any floating point type and any strides, taken
    as float32; mask_share [I,K], the mask's share of the item; all on one device. means [N,D]: the encoders'
    means of the epoch record, NaN for an encoder it does not have, which is centred on its mean over the
    shard; None is an epoch without means, which scores around the means over the shard and takes the
    consensus around zero. parts [I] bool: False for items that travel as full views only, whose masks are not
    looked at (default: mask_share in (0, 1) for every mask). scored [I] bool: False for served items, which
    enter validity, outlier factor, majority similarity and consensus but not discrimination, differential
    loss, innovation and leak (default: parts). valid [N,I] bool: the dealer's mask, to recompute with.
    probation [N] bool: encoders that are scored like all others and have no weight (default: none). Raises
    ScoringError when shapes, types or flags disagree, means are no means of unit rows, or fewer items are
    scored than rule.items_min.
    """
    batch = checked_batch(
        full,
        mask,
        inverse,
        mask_share,
        means=means,
        scored=scored,
        parts=parts,
        valid=valid,
        probation=probation,
        items_min=rule.items_min,
    )
    with pinned_precision(full.device):
        return _score(batch, rule)


def _score(batch: Batch, rule: ScoringRule) -> ShardScores:
    views = batch.views
    look = looked_over(views)
    means = look.means
    if batch.means is not None:
        means = torch.where(batch.means.isnan(), means, batch.means)
    answers = centred(views, means, look)
    decided = validity(list(answers.values()), batch.valid, rule)
    valid = decided.valid
    live = live_encoders(valid, rule)
    terms = no_terms(valid, live)
    score, weight = torch.zeros_like(terms["live"]), torch.zeros_like(terms["live"])
    members = live.nonzero()[:, 0]
    if len(members) >= rule.encoders_min:
        present = valid[members]
        peers = peer_terms(answers, members, present, rule)
        items = batch.scored.nonzero()[:, 0]
        full, mask, inverse = (answers[role] for role in FIRST)
        some = Fragments(full, mask, inverse, batch.share[items], items)
        counted = present[:, items]
        measured = own_terms(some, members, counted, rule)
        measured |= heard_terms(some, members, counted, peers.heard, rule)
        measured["differential_literal"] = mean_over(look.literal_losses[members][:, items], counted, 0.0)
        measured["local_outlier_factor"] = peers.local_outlier_factor
        measured["majority_similarity"] = peers.majority_similarity
        together = mass(peers.alike)
        measured["mass"] = together.to(members.device)
        for name, values in (measured | ramps(measured, rule)).items():
            terms[name][members] = values
        score = score_of(terms, rule) * terms["live"]
        earning = score if batch.probation is None else score * ~batch.probation
        share = weights(
            earning[members].cpu(), peers.alike, together, power=rule.weight_power, cap=rule.weight_cap
        )
        weight[members] = share.to(members.device)
    # The record of epoch 0 has no means: its consensus is of the unit answers as they are, whatever the
    # scores centred by.
    full = answers[Role("full", 0)]
    embedding = consensus(full if batch.means is not None else full.uncentred(), weight, valid)
    return ShardScores(
        score, weight, embedding, valid, terms, look.means, decided.borderline, decided.contested, rule
    )
