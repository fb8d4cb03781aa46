"""The terms of mask 0 on scored items: what an encoder's own parts say, and what the shard's medians say."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from scoring.centring import Answers
from scoring.differential import differential, recomposed
from scoring.discrimination import blocks_of, discrimination
from scoring.innovation import innovation
from scoring.leak import leak
from scoring.median import coordinate_median
from scoring.memory import chunk_items, slices_of
from scoring.projection import mean_over, quantile_over, unit
from scoring.rule import ScoringRule

_GROUP = 16
"""Encoders whose cosines of masks with inverses are held at once."""


class Fragments(NamedTuple):
    """The views that a shard's fragment terms are made of."""

    full: Answers
    mask: Answers
    inverse: Answers
    share: Tensor
    """[I'] the mask's share of each scored item."""
    items: Tensor
    """[I'] which items are scored."""


def own_terms(some: Fragments, members: Tensor, counted: Tensor, rule: ScoringRule) -> dict[str, Tensor]:
    """Discrimination and differential loss of n encoders `members`. counted [n, I'] -> [n] float64 each."""
    blocks = blocks_of(len(some.items), rule.block_items)
    own, across = (torch.empty(counted.shape, device=counted.device) for _ in range(2))
    found = []
    for group in slices_of(len(members), _GROUP):
        size = group.stop - group.start
        cosines = [members.new_empty(size, *2 * [b.stop - b.start], dtype=torch.float32) for b in blocks]
        for place, here in enumerate(counted[group]):
            one = members[group.start + place, None]
            # [I', D] each: one encoder's rows at a time stay in the cache.
            full, mask, inverse = (role.rows(some.items, one)[:, 0] for role in some[:3])
            for block, cosine in zip(blocks, cosines, strict=True):
                torch.mm(mask[block], inverse[block].T, out=cosine[place])
            at = group.start + place
            own[at], across[at] = recomposed(full, mask, inverse, some.share, here)
        found.append(
            discrimination(
                cosines,
                counted[group],
                temperatures=rule.temperatures,
                block_items_min=rule.block_items_min,
            )
        )
    return {"discrimination": torch.cat(found), "differential": differential(own, across, counted)}


def median_terms(
    some: Fragments, members: Tensor, counted: Tensor, heard: Tensor, rule: ScoringRule
) -> dict[str, Tensor]:
    """Innovation and leak of n encoders `members`. counted [n, I'] -> [n] float64 each.

    heard [3, n] bool: whose full views, masks and inverses the medians are taken over.
    """
    new = torch.empty(2, *counted.T.shape, device=counted.device)  # [role, I', n]
    leaked = torch.empty_like(new)
    here_of = counted.T.contiguous()
    for places in chunk_items(some.full.raw[:, : len(some.items)], len(members)):
        full, mask, inverse = (role.rows(some.items[places], members) for role in some[:3])
        middle, of_mask, of_inverse = (
            unit(coordinate_median(rows, here_of[places] & one))  # [b, n, D] -> [b, D]
            for rows, one in zip((full, mask, inverse), heard, strict=True)
        )
        new[0, places] = innovation(mask, full, of_mask, middle)
        new[1, places] = innovation(inverse, full, of_inverse, middle)
        leaked[0, places] = leak(mask, of_mask, of_inverse)
        leaked[1, places] = leak(inverse, of_inverse, of_mask)
    return {
        "innovation": torch.stack(
            [quantile_over(role.T, counted, rule.innovation_quantile, 0.0) for role in new]
        ).amin(0),
        "leak": torch.stack([mean_over(role.T, counted, 0.0) for role in leaked]).amax(0),
    }
