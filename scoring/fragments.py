"""The terms of mask 0 on scored items: what an encoder's own parts say, and what the shard's medians say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers, rows_of_roles
from scoring.differential import differential, recomposed
from scoring.discrimination import block_cosines, blocks_of, discrimination
from scoring.item_terms import median_terms_of
from scoring.memory import DEVICE_NUMBERS, slices_of
from scoring.projection import mean_over, quantile_over
from scoring.rule import ScoringRule

_GROUP = 16
"""Encoders whose cosines of masks with inverses are held at once on the CPU."""
_GROUP_MAX = 64
"""The most of them on other devices, where they are also worked on at once."""


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
    rows_of = _rows_of_each if compiled.serves(counted) else _rows_of_all
    for group in slices_of(len(members), _group_size(some)):
        size = group.stop - group.start
        cosines = [members.new_empty(size, *2 * [b.stop - b.start], dtype=torch.float32) for b in blocks]
        for at, (full, mask, inverse) in rows_of(some, members[group]):
            for block, cosine in zip(blocks, cosines, strict=True):
                block_cosines(mask[..., block, :], inverse[..., block, :], cosine[at])
            here = recomposed(full, mask, inverse, some.share, counted[group][at])
            own[group][at], across[group][at] = here
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
    return min(_GROUP_MAX, max(1, DEVICE_NUMBERS // (3 * len(some.items) * some.full.raw.shape[2])))


def _rows_of_all(some: Fragments, members: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
    """The encoders' full views, masks and inverses at once, [n, I', D] each."""
    yield slice(None), list(rows_of_roles(some[:3], some.items, members).transpose(1, 2))


def _rows_of_each(some: Fragments, members: Tensor) -> Iterator[tuple[int, list[Tensor]]]:
    """Each encoder's full views, masks and inverses, [I', D] each; the memory is that of the one before."""
    items, dimension = some.items.numpy(), some.full.raw.shape[2]
    rows, roles = torch.empty(3, len(items), 1, dimension), np.array([role.place for role in some[:3]])
    for place, member in enumerate(members.numpy()[:, None]):
        some.full.centre.gather(roles, items, member, rows.numpy())
        yield place, list(rows[:, :, 0])
