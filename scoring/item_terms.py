"""What is measured item by item among live encoders: against each other, and against the medians."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scoring import compiled
from scoring.centring import Answers, rows_of_roles
from scoring.compiled import fragments, medians, pairs
from scoring.compiled.rows import Indices
from scoring.distances import pairwise
from scoring.innovation import innovation
from scoring.leak import leak
from scoring.local_outlier_factor import IDENTICAL, outlier_factor_of
from scoring.median import coordinate_median, median_network, sorting_network
from scoring.memory import chunk_items, reserved, shaped, slices_of
from scoring.projection import unit
from scoring.role_distances import squared_distances
from scoring.rule import ScoringRule
from scoring.similarity import majority_similarity

_NUMBERS = 1 << 19
"""float32 numbers of rows taken at a time: so many that calls cost little, so few that they stay near."""
_SORT_COPIES = 3
"""How often the rows are held while torch takes their medians, and half as often again for a moment."""


class PairTerms(NamedTuple):
    """How n live encoders stand to each other on I items in one role."""

    outlier_factor: Tensor
    """[I, n] float32."""
    majority_similarity: Tensor
    """[I, n] float32."""


class MedianTerms(NamedTuple):
    """How masks and inverses of n live encoders stand to the medians, float32."""

    innovation: Tensor
    """[2, I', n]."""
    leak: Tensor
    """[2, I', n]."""


def pair_terms(
    roles: Sequence[Answers], members: Tensor, present: Tensor, rule: ScoringRule, cosine_sum: Tensor
) -> Iterator[PairTerms]:
    """Compare the encoders `members` [n], which answered where present [n, I], role after role.

    Each role's cosines over the items that both answered are added to cosine_sum [n, n] float64 on the CPU,
    below its diagonal, before its terms are given: a table for each would take more memory than all else.
    """
    here = torch.stack([(present & answers.dealt).T for answers in roles])  # [R, I, n]
    if compiled.serves(present):
        yield from _compiled_pair_terms(roles, members.numpy(), here.contiguous(), rule, cosine_sum)
        return
    *terms, sums = _torch_pair_terms(roles, members, here, rule)
    for *of_role, added in zip(*terms, sums, strict=True):
        cosine_sum += added.cpu().tril(-1)
        yield PairTerms(*of_role)


def _torch_pair_terms(
    roles: Sequence[Answers], members: Tensor, here: Tensor, rule: ScoringRule
) -> tuple[Tensor, Tensor, Tensor]:
    """Outlier factors and majority similarities [R, I, n], and sums of cosines [R, n, n], by torch."""
    count, device = len(members), here.device
    outlier_factor, similarity = torch.empty(2, *here.shape, device=device)
    cosine_sum = torch.zeros(len(roles), count, count, dtype=torch.float64, device=device)
    majority, neighbors = rule.majority(count), rule.neighbors(count)
    # A launch costs the same for one role as for all of them.
    for items in chunk_items(roles[0].raw, count, rule.lof_max_bytes, len(roles)):
        shape = len(roles), len(items), count
        flags = here[:, items]  # [R, b, n]
        between = pairwise(rows_of_roles(roles, items, members).flatten(0, 1), flags.flatten(0, 1))
        cosines = torch.where(between.both, between.product, 0.0)
        cosine_sum += cosines.view(*shape, count).sum(1, dtype=torch.float64)
        factors = outlier_factor_of(between, neighbors, rule.reach_floor, rule.lof_max_bytes)
        outlier_factor[:, items] = factors.view(shape)
        similarity[:, items] = majority_similarity(between, majority).view(shape)
    return outlier_factor, similarity, cosine_sum


def _compiled_pair_terms(
    roles: Sequence[Answers], members: Indices, here: Tensor, rule: ScoringRule, cosine_sum: Tensor
) -> Iterator[PairTerms]:
    """The same by compiled kernels, from distances that were kept or are measured now."""
    count = len(members)
    aside = shaped(reserved(count * count), 1, count, count)
    constants = (rule.neighbors(count), rule.reach_floor, IDENTICAL, rule.majority(count))
    for role, flags in zip(roles, here.numpy(), strict=True):
        factors, cosines = np.empty((2, *flags.shape), np.float32)
        for part, squared in squared_distances(role, members):
            scratch = squared if role.kept_distances is None else aside
            given = sorting_network(count), scratch
            found = factors[part], cosines[part], cosine_sum.numpy()
            pairs.pair_statistics(squared, flags[part], *constants, *given, *found)
        del squared, scratch, given  # or they are held while the next role's are measured
        yield PairTerms(torch.from_numpy(factors), torch.from_numpy(cosines))


def median_terms_of(
    roles: Sequence[Answers], members: Tensor, items: Tensor, counted: Tensor, heard: Tensor
) -> MedianTerms:
    """Innovation and leak of masks and inverses of items [I'] that are counted [I', n].

    roles: full views, masks, inverses; heard [3, n] bool: over whom the medians of each are taken.
    """
    empty = torch.empty(2, *counted.shape, device=counted.device)
    found = MedianTerms(empty, torch.empty_like(empty))
    if compiled.serves(counted):
        _compiled_median_terms(roles, members.numpy(), items.numpy(), counted, heard, found)
        return found
    for places in chunk_items(roles[0].raw[:, : len(items)], len(members), roles=3 * _SORT_COPIES):
        rows = rows_of_roles(roles, items[places], members)  # [3, b, n, D]
        present = counted[places] & heard[:, None]  # [3, b, n]
        medians_of = unit(coordinate_median(rows.flatten(0, 1), present.flatten(0, 1)))  # [3b, D]
        middle, *of_parts = medians_of.view(3, len(places), -1)
        # Masks and inverses in one go: [2b, n, D] and [2b, D].
        full, parts, others = rows[0].repeat(2, 1, 1), rows[1:].flatten(0, 1), torch.cat(of_parts[::-1])
        own, shape = torch.cat(of_parts), (2, len(places), len(members))
        found.innovation[:, places] = innovation(parts, full, own, middle.repeat(2, 1)).view(shape)
        found.leak[:, places] = leak(parts, own, others).view(shape)
    return found


def _compiled_median_terms(
    roles: Sequence[Answers],
    members: Indices,
    items: Indices,
    counted: Tensor,
    heard: Tensor,
    found: MedianTerms,
) -> None:
    """The same by compiled kernels: three roles of a few items in the cache at a time."""
    count, dimension = len(members), roles[0].raw.shape[2]
    places = np.array([role.place for role in roles])
    present = [counted & one for one in heard]  # [I', n] each
    networks = [median_network(one) for one in present]
    step = min(len(items), max(1, _NUMBERS // (3 * count * dimension)))
    memory, middles = (reserved(3 * step * n * dimension) for n in (count, 1))
    for few in slices_of(len(items), step):
        size = few.stop - few.start
        rows, middle = shaped(memory, 3, size, count, dimension), shaped(middles, 3, size, dimension)
        roles[0].centre.gather(places, items[few], members, rows)
        for place in range(3):
            medians.medians(rows[place], present[place][few].numpy(), networks[place], middle[place])
        new, leaked = np.empty((2, 2, size, count), np.float32)
        fragments.median_terms(rows, middle, new, leaked)
        found.innovation.numpy()[:, few] = new
        found.leak.numpy()[:, few] = leaked
