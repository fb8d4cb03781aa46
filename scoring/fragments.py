"""The terms of mask 0 on scored items: what an encoder's own parts say, and what the shard's medians say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers, rows_of_roles
from scoring.compiled.fragments import recompose, total_of
from scoring.differential import differential, recomposed
from scoring.discrimination import block_cosines, blocks_of, discrimination
from scoring.item_terms import median_terms_of
from scoring.memory import DEVICE_NUMBERS, slices_of
from scoring.projection import mean_over, quantile_over
from scoring.rule import ScoringRule

_GROUP = 64
"""Encoders whose cosines of masks with inverses are held at once on the CPU."""


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
    compare = _compare_each if compiled.serves(counted) else _compare_all
    for group in slices_of(len(members), _group_size(some)):
        size = group.stop - group.start
        cosines = [members.new_empty(size, *2 * [b.stop - b.start], dtype=torch.float32) for b in blocks]
        compare(some, members[group], counted[group], blocks, cosines, own[group], across[group])
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
    found = median_terms_of(some[:3], members, some.items, counted.T.contiguous(), heard)
    low = rule.innovation_quantile
    return {
        "innovation": torch.stack([quantile_over(x.T, counted, low, 0.0) for x in found.innovation]).amin(0),
        "leak": torch.stack([mean_over(x.T, counted, 0.0) for x in found.leak]).amax(0),
    }


def _group_size(some: Fragments) -> int:
    if compiled.serves(some.full.raw):
        return _GROUP
    return min(_GROUP, max(1, DEVICE_NUMBERS // (3 * len(some.items) * some.full.raw.shape[2])))


def _compare_all(
    some: Fragments,
    members: Tensor,
    counted: Tensor,
    blocks: list[slice],
    cosines: list[Tensor],
    own: Tensor,
    across: Tensor,
) -> None:
    """Fill the cosines of `block_cosines` [n, b, b] of each block, own and across [n, I'] of `recomposed`."""
    full, mask, inverse = rows_of_roles(some[:3], some.items, members).transpose(1, 2)  # [n, I', D]
    for block, cosine in zip(blocks, cosines, strict=True):
        block_cosines(mask[:, block], inverse[:, block], cosine)
    own[:], across[:] = recomposed(full, mask, inverse, some.share, counted)


def _compare_each(
    some: Fragments,
    members: Tensor,
    counted: Tensor,
    blocks: list[slice],
    cosines: list[Tensor],
    own: Tensor,
    across: Tensor,
) -> None:
    """The same by compiled kernels, encoder after encoder: the parts of a block stay in the cache."""
    items, dimension = some.items.numpy(), some.full.raw.shape[2]
    full, total = torch.empty(1, len(items), 1, dimension), np.empty(dimension, np.float32)
    wholes = full[0, :, 0].numpy()
    role, roles = np.array([some.full.place]), np.array([some.mask.place, some.inverse.place])
    share, here, alone, other = some.share.numpy(), counted.numpy(), own.numpy(), across.numpy()
    parts = {size: torch.empty(2, size, 1, dimension) for size in {b.stop - b.start for b in blocks}}
    for place, member in enumerate(members.numpy()[:, None]):
        some.full.centre.gather(role, items, member, full.numpy())
        total_of(wholes, here[place], total)
        for block, cosine in zip(blocks, cosines, strict=True):
            rows = parts[block.stop - block.start]
            some.full.centre.gather(roles, items[block], member, rows.numpy())
            block_cosines(rows[0, :, 0], rows[1, :, 0], cosine[place])
            mask, inverse = rows.numpy()[:, :, 0]
            found = alone[place, block], other[place, block]
            recompose(wholes[block], mask, inverse, share[block], total, *found)
