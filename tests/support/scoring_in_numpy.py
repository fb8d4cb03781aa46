"""The whole scoring step the straightforward way: NumPy and scikit-learn in float64, item after item.

An oracle for `score_shard` and the baseline that its speed is told against. It takes shards of which every
item has parts and is scored, without a dealer's mask, and does not say what is borderline. Decisions over
tables [N, N] and [N], who is whose copy and what weight a score gets, are those of `scoring`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from scoring import HARDENED, ScoringRule
from scoring.clones import heard_by_medians, likeness, mass
from scoring.terms import let_through, ramps, score_of
from scoring.weights import weights

Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_IDENTICAL = 1e-4
"""As in `scoring.local_outlier_factor`: rows this close say nothing about the spread."""

_OVERFLOW = 1e19
"""Norms above this overflow a float32 square: such an answer counts as not finite."""


class NumpyScores(NamedTuple):
    """What `ShardScores` says too, float64."""

    score: Doubles
    weight: Doubles
    consensus: Doubles
    valid: Bools
    terms: dict[str, Tensor]


def score_in_numpy(
    full: Tensor, mask: Tensor, inverse: Tensor, mask_share: Tensor, rule: ScoringRule = HARDENED
) -> NumpyScores:
    """Score N encoders on I items with K masks; arguments as those of `score_shard`, in epoch 0."""
    masks = mask.shape[2]
    pairs = [one for k in range(masks) for one in (mask[:, :, k], inverse[:, :, k])]
    raw = np.stack([one.double().numpy() for one in (full, *pairs)])  # [R, N, I, D]
    units, rows, usable = _centred(raw, rule)
    valid = _valid(rows[0], usable, rule)
    live = valid.sum(1) >= rule.live_share_min * valid.shape[1]
    encoders, members = len(valid), np.flatnonzero(live)
    rows, counted = rows[:, members], valid[members]

    measured, sums = _pair_terms(rows, counted, rule)
    here = torch.from_numpy(counted.astype(np.float64))
    heard = np.stack([heard_by_medians(one, here, rule).numpy() for one in torch.from_numpy(sums[:3])])
    share = mask_share[:, 0].double().numpy()
    measured["discrimination"] = np.array([_discrimination(*one, rule) for one in _each(rows, counted)])
    measured["differential"] = np.array(
        [_differential(row, share[here]) for row, here in _answered(rows, counted)]
    )
    measured |= _heard_terms(rows[:3], counted, heard, rule)
    measured["differential_literal"] = _literal_loss(raw[:, members], counted)

    alike = likeness(torch.from_numpy(sums.sum(0)), here.repeat(1, len(sums)), rule.clone_ramp)
    together = mass(alike)
    terms = {name: torch.from_numpy(values) for name, values in measured.items()}
    terms |= ramps(terms, rule) | {"mass": together, "availability": torch.from_numpy(counted.mean(1))}
    score = score_of(terms, rule)
    everyone = {name: torch.zeros(encoders, dtype=torch.float64) for name in terms}
    for name, values in terms.items():
        everyone[name][live] = values
    weight, scores = np.zeros(encoders), np.zeros(encoders)
    weight[members] = weights(score, alike, together, power=rule.weight_power, cap=rule.weight_cap).numpy()
    scores[members] = score.numpy()
    return NumpyScores(scores, weight, _consensus(units[0], weight, valid), valid, everyone)


def _heard_terms(rows: Doubles, counted: Bools, heard: Bools, rule: ScoringRule) -> dict[str, Doubles]:
    """Innovation and leak by medians over who leaks little: the better of two bounds, for each encoder."""
    by_all = _median_terms(rows, counted, heard, rule)
    if rule.leak_gate is None:
        return by_all

    def by_those_of(leak_max: float, before: dict[str, Doubles]) -> dict[str, Doubles]:
        sound = heard & (by_all["leak"] <= leak_max)
        if (sound == heard).all() or sound.sum(1).min() < rule.encoders_min:
            return before  # a baseline of speed does nothing twice
        return _median_terms(rows, counted, sound, rule)

    lenient = by_those_of(rule.leak_gate.one_at, by_all)
    if rule.heard_leak_max is None:
        return lenient
    strict = by_those_of(rule.heard_leak_max, lenient)
    passed = [
        np.prod(
            [let_through(name, torch.from_numpy(values), rule).numpy() for name, values in one.items()],
            axis=0,
        )
        for one in (strict, lenient)
    ]
    return {name: np.where(passed[0] > passed[1], strict[name], lenient[name]) for name in lenient}


def _unit(rows: Doubles) -> Doubles:
    """Rows [..., D] at unit norm; zeros stay zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-6)


def _centred(raw: Doubles, rule: ScoringRule) -> tuple[Doubles, Doubles, Bools]:
    """Answers [R, N, I, D] -> at unit norm; around the encoder's mean, at unit norm; usable [N, I]."""
    norm = np.linalg.norm(raw, axis=-1, keepdims=True)
    finite = norm < _OVERFLOW  # NaN compares false
    units = np.divide(raw, norm, out=np.zeros_like(raw), where=finite & (norm > 1e-12))
    mean = units.sum((0, 2)) / np.maximum(finite.sum((0, 2)), 1)  # [N, D]
    # No direction before centring, none after.
    off = np.where(finite & (norm > 1e-12), units - mean[:, None], 0.0)
    rest = np.linalg.norm(off, axis=-1, keepdims=True)
    rows = np.divide(off, rest, out=np.zeros_like(off), where=rest > 1e-12)
    good = finite & (norm > rule.norm_min) & (norm < rule.norm_max) & (rest >= rule.centred_norm_min)
    return units, rows, good[..., 0].all(0)


def _kth_largest(cosine: Doubles, k: int) -> Doubles:
    """k-th largest of each row [N, N] beside the diagonal, from 1."""
    others = np.where(np.eye(len(cosine), dtype=bool), -np.inf, cosine)
    return np.sort(others, axis=1)[:, -min(max(k, 1), len(cosine) - 1)]


def _valid(full: Doubles, usable: Bools, rule: ScoringRule) -> Bools:
    """Whose full views [N, I, D] agree with a majority, among the usable [N, I]."""
    items = usable.shape[1]
    live = usable.sum(1) >= rule.live_share_min * items
    here = usable & live[:, None]
    mean = sum((full[:, i] @ full[:, i].T) * np.outer(here[:, i], here[:, i]) for i in range(items)) / items
    agreed = _kth_largest(mean, rule.minority(int(live.sum())))
    peers = live & (agreed >= rule.peer_similarity_min)
    valid = _agreed(full, usable, peers, rule)
    return _agreed(full, usable, peers & (valid.mean(1) >= rule.peer_share_min), rule)


def _agreed(full: Doubles, usable: Bools, peers: Bools, rule: ScoringRule) -> Bools:
    """Whose full views agree with a majority of these peers [N]."""
    minority, valid = rule.minority(int(peers.sum())), np.zeros_like(usable)
    for i in range(usable.shape[1]):
        present = usable[:, i]
        cosine = (full[:, i] @ full[:, i].T) * np.outer(present, present)
        first = _kth_largest(cosine * peers, minority)
        sound = present & peers & (first >= rule.item_similarity_min)
        if sound.sum() >= rule.encoders_min:
            second = _kth_largest(cosine * sound, int(sound.sum()) // 2)
            valid[:, i] = present & (second >= rule.item_similarity_min)
    return valid


def _pair_terms(rows: Doubles, counted: Bools, rule: ScoringRule) -> tuple[dict[str, Doubles], Doubles]:
    """Outlier factor and majority similarity [n], and by role the sums of cosines [R, n, n]."""
    roles, count, items, _ = rows.shape
    factors, similarities = np.zeros((2, roles, count, items))
    sums = np.zeros((roles, count, count))
    for role in range(roles):
        for i in range(items):
            here = counted[:, i]
            present = rows[role, here, i]
            factors[role, here, i] = _outlier_factors(present, rule.neighbors(count), rule.reach_floor)
            cosine = np.zeros((count, count))
            cosine[np.ix_(here, here)] = present @ present.T
            similarities[role, :, i] = _kth_largest(cosine, rule.majority(count))
            sums[role] += cosine
    answered = counted.sum(1)
    measured = {
        "local_outlier_factor": ((factors * counted).sum(2) / answered).max(0),
        "majority_similarity": ((similarities * counted).sum(2) / answered).min(0),
    }
    return measured, sums


def _outlier_factors(rows: Doubles, neighbors: int, reach_floor: float) -> Doubles:
    """Local outlier factors [n] of an item's rows [n, D], scikit-learn's but for the floor."""
    if len(rows) < 2:
        return np.ones(len(rows))
    distance, near = NearestNeighbors(n_neighbors=min(neighbors, len(rows) - 1)).fit(rows).kneighbors()
    upper = np.triu_indices(len(rows), 1)
    pairs = np.linalg.norm(rows[upper[0]] - rows[upper[1]], axis=1)
    apart = pairs[pairs > _IDENTICAL]
    floor = reach_floor * (np.median(apart) if len(apart) else _IDENTICAL)
    reach = np.maximum(np.maximum(distance, distance[near, -1]), floor)
    density = 1 / (reach.mean(1) + 1e-10)
    return density[near].mean(1) / density


def _each(rows: Doubles, counted: Bools) -> list[tuple[Doubles, Doubles, Bools]]:
    """Masks [I, D], inverses [I, D] and what counts [I] of each encoder."""
    return [(rows[1, n], rows[2, n], counted[n]) for n in range(len(counted))]


def _answered(rows: Doubles, counted: Bools) -> list[tuple[Doubles, Bools]]:
    """Full views, masks and inverses [3, i, D] of the items that count, and which [I], of each encoder."""
    return [(rows[:3, n, here], here) for n, here in enumerate(counted)]


def _discrimination(mask: Doubles, inverse: Doubles, counted: Bools, rule: ScoringRule) -> float:
    """1 - the least InfoNCE over temperatures, relative to chance, in blocks of items."""
    blocks = max(1, len(counted) // rule.block_items)
    ends = [rule.block_items * block for block in range(blocks)] + [len(counted)]
    losses, answered = np.zeros(len(rule.temperatures)), 0
    for start, end in pairwise(ends):
        here = np.flatnonzero(counted[start:end]) + start
        if len(here) < rule.block_items_min:
            continue
        cosine = mask[here] @ inverse[here].T
        for t, temperature in enumerate(rule.temperatures):
            scaled = cosine / temperature
            likely = np.exp(scaled)
            ways = np.log(likely.sum(0)) + np.log(likely.sum(1)) - 2 * np.diag(scaled)
            losses[t] += ways.sum() / 2 / np.log(len(here))
        answered += len(here)
    return max(0.0, 1 - losses.min() / answered) if answered else 0.0


def _differential(rows: Doubles, share: Doubles) -> float:
    """Mean of ||f_i - r_i||^2 over the mean of ||f_j - r_i||^2; rows [3, i, D], share [i]."""
    full, mask, inverse = rows
    if len(full) < 2:
        return 1.0
    whole = _unit(share[:, None] * mask + (1 - share[:, None]) * inverse)
    squared = np.maximum(2 - 2 * whole @ full.T, 0)  # [i, j]
    own = np.diag(squared)
    others = (squared.sum(1) - own) / (len(full) - 1)
    return float(np.mean(own / np.maximum(others, 1e-6)))


def _median_terms(rows: Doubles, counted: Bools, heard: Bools, rule: ScoringRule) -> dict[str, Doubles]:
    """Innovation and leak [n] of full views, masks and inverses [3, n, I, D]; heard [3, n]."""
    _, count, items, dimension = rows.shape
    new, leaked = np.zeros((2, 2, count, items))
    for i in range(items):
        middles = np.zeros((3, dimension))
        for role in range(3):
            some = heard[role] & counted[:, i]
            if some.any():
                middles[role] = np.median(rows[role, some, i], axis=0)
        middle_full, *middle = _unit(middles)
        for part in range(2):
            own, other, fragment, full = middle[part], middle[1 - part], rows[1 + part, :, i], rows[0, :, i]
            target = _unit(own - (own @ middle_full) * middle_full)
            along = (fragment * full).sum(1)
            rest = np.sqrt(np.maximum(1 - along**2, 1e-6))
            new[part, :, i] = (fragment @ target - along * (full @ target)) / rest
            target = _unit(other - (other @ own) * own)
            rest = np.sqrt(np.maximum(1 - (fragment @ own) ** 2, 1e-6))
            leaked[part, :, i] = fragment @ target / rest
    low = [
        np.quantile(part[n, here], rule.innovation_quantile, method="inverted_cdf")
        for part in new
        for n, here in enumerate(counted)
    ]
    return {
        "innovation": np.array(low).reshape(2, count).min(0),
        "leak": ((leaked * counted).sum(2) / counted.sum(1)).max(0),
    }


def _literal_loss(raw: Doubles, counted: Bools) -> Doubles:
    """Mean of ||full - mask - inverse|| over masks and counted items, [R, n, I, D] -> [n]."""
    loss = np.zeros(counted.shape)
    for mask, inverse in zip(raw[1::2], raw[2::2], strict=True):
        loss += np.linalg.norm(raw[0] - mask - inverse, axis=-1)
    return np.where(counted, loss, 0.0).sum(1) / (len(raw) // 2) / counted.sum(1)


def _consensus(full: Doubles, weight: Doubles, valid: Bools) -> Doubles:
    """Weighted mean of the valid unit answers [N, I, D] of each item; NaN where there is none."""
    total = np.full(full.shape[1:], np.nan)
    for i in range(full.shape[1]):
        share = weight * valid[:, i]
        if share.sum() > 0:
            total[i] = share @ full[:, i] / share.sum()
    return total
