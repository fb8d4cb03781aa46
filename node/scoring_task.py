"""From a score task and the answers' bytes to a scored shard, and from a claimed one to its deviations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from node.epochs.learning import mean_steps
from protocol.batch import PPM, PROBES, Batch, Role, View
from protocol.epochs.learnt import STEPS_PER_UNIT, LearntError
from protocol.epochs.record import NOTHING
from protocol.report import (
    DIMENSIONS,
    INCOMPARABLE_PPM,
    VECTOR_BYTES,
    Deviation,
    ScoredShard,
    ScoreTask,
    Term,
)

if TYPE_CHECKING:  # torch takes a second to import: only who scores pays for it
    from torch import Tensor

    from scoring import ShardScores

SLAB_BYTES_MAX: Final = 8 << 30
"""Largest answers of one shard that are scored at once."""

Answers: TypeAlias = Callable[[bytes], bytes | memoryview | None]
"""The answers, or the encoders' means, of a digest; None if they are not held."""
Slab: TypeAlias = npt.NDArray[np.float32]
"""[encoder, row, 1024]; NaN is withheld. Rows: of every item the full, masks 0 .. K-1 and inverses 0 .. K-1;
behind them the batch's probes."""
_Bools: TypeAlias = npt.NDArray[np.bool_]
_Floats: TypeAlias = npt.NDArray[np.float64]


def _pageable(shape: tuple[int, ...]) -> Slab:
    return np.empty(shape, dtype=np.float32)


class ScoringTaskError(Exception):
    """The task cannot be scored here: answers are missing or of another size, or the shard is too large."""


def score_task(
    task: ScoreTask,
    answers: Answers,
    *,
    device: str = "cpu",
    valid: bytes | None = None,
    slab_bytes_max: int = SLAB_BYTES_MAX,
) -> ScoredShard:
    """Score the task's answers; `valid` is a dealer's mask (uint8 [encoders, items]) to recompute with.

    Raises ScoringTaskError when answers are missing or have another size, scoring.ScoringError when the rule
    cannot score the batch.
    """
    scores = _score(task, answers, device, valid, slab_bytes_max)
    terms = tuple(
        Term(name, _float64_bytes(scores.terms[name].cpu().numpy())) for name in sorted(scores.terms)
    )
    return ScoredShard(
        valid=scores.valid.cpu().numpy().astype(np.uint8).tobytes(),
        score=_float64_bytes(scores.score.cpu().numpy()),
        weight=_float64_bytes(scores.weight.cpu().numpy()),
        terms=terms,
        consensus=scores.consensus.cpu().numpy().astype("<f4", copy=False).tobytes(),
        means=scores.means.cpu().numpy().astype("<f4", copy=False).tobytes(),
    )


def compare_task(
    task: ScoreTask,
    answers: Answers,
    claimed: ScoredShard,
    *,
    device: str = "cpu",
    slab_bytes_max: int = SLAB_BYTES_MAX,
) -> tuple[Deviation, ...]:
    """Score again with the claimed valid mask and say how far every claimed number lies from ours.

    One deviation for the mask, for each term, score, weight and mean (of the encoder where it is largest)
    and for the consensus (of the item where it is largest); those of vectors are Euclidean. The claimed
    mask stands where ours is borderline; anywhere else a difference is a deviation of 1. Raises as score_task
    does, and ScoringTaskError for a claim of another shape, which an audit would have refused.
    """
    _check_shapes(task, claimed)
    ours = _score(task, answers, device, claimed.valid, slab_bytes_max)
    contested = ours.contested.cpu().numpy().sum(1)  # [encoders]
    worst = int(contested.argmax())
    found = [
        Deviation("valid", task.encoders[worst] if contested[worst] else b"", PPM * bool(contested[worst]))
    ]
    theirs = {term.name: term.values for term in claimed.terms}
    for name in sorted(theirs.keys() | ours.terms.keys()):
        if name not in theirs or name not in ours.terms:
            found.append(Deviation(name, b"", INCOMPARABLE_PPM))
            continue
        found.append(_largest(task, name, ours.terms[name].cpu().numpy(), theirs[name]))
    found.append(_largest(task, "score", ours.score.cpu().numpy(), claimed.score))
    found.append(_largest(task, "weight", ours.weight.cpu().numpy(), claimed.weight))
    consensus = np.frombuffer(claimed.consensus, "<f4").reshape(-1, DIMENSIONS)
    rows = vector_deviations(ours.consensus.cpu().numpy(), consensus)
    found.append(Deviation("consensus", b"", _ppm(rows.max(initial=0.0))))
    means = np.frombuffer(claimed.means, "<f4").reshape(-1, DIMENSIONS)
    found.append(_worst(task, "means", vector_deviations(ours.means.cpu().numpy(), means)))
    return tuple(found)


def answer_slab(
    task: ScoreTask,
    answers: Answers,
    slab_bytes_max: int = SLAB_BYTES_MAX,
    allocate: Callable[[tuple[int, ...]], Slab] = _pageable,
) -> Slab:
    """The answers of a task, copied once, from the order they were asked in to the one they are scored in.

    They land in the array that `allocate` makes, so that it can lie in memory a GPU reads from by itself.
    """
    batch = task.batch
    roles = 1 + 2 * _masks_per_item(batch)
    encoders, items = len(task.encoders), len(batch.items)
    rows_each = items * roles + len(batch.probes)
    if encoders * rows_each * VECTOR_BYTES > slab_bytes_max:
        raise ScoringTaskError(
            f"{encoders} encoders, {items} items and {roles} views of each are more than "
            f"{slab_bytes_max >> 20} MiB of answers: raise score_bytes_max if this machine has the memory"
        )
    places = [np.fromiter(_places(batch, wave, roles), np.intp, len(wave)) for wave in batch.waves]
    never_asked = np.ones(rows_each, dtype=bool)
    for wave in places:
        never_asked[wave] = False
    slab = allocate((encoders, rows_each, DIMENSIONS))
    for rows, digests in zip(slab, task.answers, strict=True):
        if digests is None:
            rows[:] = np.nan
            continue
        rows[never_asked] = np.nan
        for wave, name in zip(places, digests, strict=True):
            rows[wave] = _array(answers(name), name, len(wave))
    return slab


def deviations(ours: _Floats, claimed: _Floats) -> _Floats:
    """|ours - claimed| / (1 + |claimed|) by element: 0 for two NaN or the same infinity, inf for only one."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(ours - claimed) / (1 + np.abs(claimed))
    comparable = np.isfinite(ours) & np.isfinite(claimed)
    return np.where(comparable, apart, np.where(_same(ours, claimed), 0.0, np.inf))


def vector_deviations(ours: npt.NDArray[np.float32], claimed: npt.NDArray[np.float32]) -> _Floats:
    """|a - b| / (1 + |b|) with Euclidean norms, row by row [n, d] -> [n]; not finite as in `deviations`.

    By row and not by coordinate: a coordinate of a unit vector is about 0.03, so that a tolerance of 0.001
    for each would let a dealer turn the vector by 0.03.
    """
    mine, theirs = ours.astype(np.float64), claimed.astype(np.float64)
    comparable = np.isfinite(mine) & np.isfinite(theirs)
    clash = ~comparable & ~_same(mine, theirs)
    difference = np.where(comparable, mine, 0.0) - np.where(comparable, theirs, 0.0)
    norm = np.linalg.norm(np.where(comparable, theirs, 0.0), axis=1)
    apart: _Floats = np.linalg.norm(difference, axis=1) / (1 + norm)
    return np.where(clash.any(axis=1), np.inf, apart)


class _Inputs(NamedTuple):
    """What a batch says about its items."""

    share: npt.NDArray[np.float32]
    """[items, masks]; 0 for items without masks."""
    scored: _Bools
    parts: _Bools


def _score(
    task: ScoreTask, answers: Answers, device: str, valid: bytes | None, slab_bytes_max: int
) -> ShardScores:
    import torch

    from scoring import rule_by_name, score_shard

    rule = rule_by_name(task.rule)
    masks = _masks_per_item(task.batch)
    inputs = _inputs(task.batch, masks)

    def pinned(shape: tuple[int, ...]) -> Slab:
        slab: Slab = torch.empty(shape, dtype=torch.float32, pin_memory=True).numpy()
        return slab

    known = _means(task, answers)
    allocate = _pageable if torch.device(device).type == "cpu" else pinned
    slab = torch.from_numpy(answer_slab(task, answers, slab_bytes_max, allocate)).to(device)
    items, roles = len(task.batch.items), 1 + 2 * masks
    views = slab[:, : items * roles].view(-1, items, roles, DIMENSIONS)  # [N, I, 1 + 2K, D]
    given = None
    if valid is not None:
        flags = np.frombuffer(valid, np.uint8).reshape(len(task.encoders), -1) != 0
        given = torch.from_numpy(flags).to(device)
    scores = score_shard(
        views[:, :, 0],
        views[:, :, 1 : 1 + masks],
        views[:, :, 1 + masks :],
        torch.from_numpy(inputs.share).to(device),
        rule,
        scored=torch.from_numpy(inputs.scored).to(device),
        parts=torch.from_numpy(inputs.parts).to(device),
        valid=given,
        probation=torch.tensor(task.probation),
        means=None if known is None else torch.from_numpy(known).to(device),
    )
    probed = _probed(task.batch, masks, views, slab[:, items * roles :], scores)
    return replace(scores, terms=scores.terms | probed)


def _probed(
    batch: Batch, masks: int, views: Tensor, answer: Tensor, scores: ShardScores
) -> dict[str, Tensor]:
    """The terms of the probes. views [N, I, 1 + 2K, D], answer [N, P, D] -> [N] each."""
    from scoring.probes import probe_terms

    item = [view.item for view in batch.probes]
    fragment = [1 + masks * (view.role is Role.INVERSE_PROBE) for view in batch.probes]
    counted = scores.valid[:, item] & (scores.terms["live"] > 0)[:, None]  # [N, P]
    return probe_terms(views[:, item, fragment], answer, views[:, item, 0], counted)._asdict()


def _masks_per_item(batch: Batch) -> int:
    return max((len(shares) for shares in batch.mask_share_ppm), default=0)


def _inputs(batch: Batch, masks: int) -> _Inputs:
    parts = np.array([len(shares) > 0 for shares in batch.mask_share_ppm], dtype=bool)
    share = np.zeros((len(batch.items), masks), dtype=np.float32)
    share[parts] = np.array([shares for shares in batch.mask_share_ppm if shares], np.float64) / PPM
    return _Inputs(share, np.array(batch.scored, dtype=bool), parts)


def _places(batch: Batch, wave: tuple[View, ...], roles: int) -> Iterator[int]:
    """The row of each view, in the order asked."""
    first = {Role.FULL: 0, Role.MASK: 1, Role.INVERSE: 1 + roles // 2}
    next_probe = len(batch.items) * roles
    for view in wave:
        if view.role in PROBES:
            yield next_probe
            next_probe += 1
        else:
            yield view.item * roles + first[view.role] + view.mask


def _array(data: bytes | memoryview | None, name: bytes, views: int) -> npt.NDArray[np.float32]:
    if data is None:
        raise ScoringTaskError(f"the answers {name.hex()[:16]} are not here: fetch them before scoring")
    if len(data) != views * VECTOR_BYTES:
        raise ScoringTaskError(
            f"the answers {name.hex()[:16]} have {len(data)} bytes where {views} views take "
            f"{views * VECTOR_BYTES}: fetch them again"
        )
    return np.frombuffer(data, "<f4").reshape(views, DIMENSIONS)


def _means(task: ScoreTask, answers: Answers) -> npt.NDArray[np.float32] | None:
    """[encoders, 1024] from the epoch's record, NaN for whom it does not have; None in an epoch without."""
    if task.means == NOTHING:
        return None
    data = answers(task.means)
    if data is None:
        raise ScoringTaskError("the encoders' means of this epoch are not here: let the node catch up")
    try:
        means = mean_steps(bytes(data))
    except LearntError as error:
        raise ScoringTaskError(str(error)) from None
    unknown = np.full(DIMENSIONS, np.nan, np.float32)
    rows = [means[key] / np.float32(STEPS_PER_UNIT) if key in means else unknown for key in task.encoders]
    if any(len(row) != DIMENSIONS for row in rows):
        raise ScoringTaskError(f"the encoders' means do not have {DIMENSIONS} dimensions")
    return np.stack(rows)


def _check_shapes(task: ScoreTask, claimed: ScoredShard) -> None:
    encoders, items = len(task.encoders), len(task.batch.items)
    sizes = {
        "valid": (len(claimed.valid), encoders * items),
        "score": (len(claimed.score), 8 * encoders),
        "weight": (len(claimed.weight), 8 * encoders),
        "consensus": (len(claimed.consensus), VECTOR_BYTES * items),
        "means": (len(claimed.means), VECTOR_BYTES * encoders),
    } | {f"term {term.name}": (len(term.values), 8 * encoders) for term in claimed.terms}
    for name, (size_bytes, expected_bytes) in sizes.items():
        if size_bytes != expected_bytes:
            raise ScoringTaskError(
                f"the claimed {name} has {size_bytes} bytes where {expected_bytes} belong: "
                "audit the report before comparing"
            )


def _largest(task: ScoreTask, name: str, ours: _Floats, claimed: bytes) -> Deviation:
    return _worst(task, name, deviations(ours, np.frombuffer(claimed, "<f8")))


def _worst(task: ScoreTask, name: str, apart: _Floats) -> Deviation:
    worst = int(apart.argmax())
    return Deviation(name, task.encoders[worst] if apart[worst] > 0 else b"", _ppm(apart[worst]))


def _same(ours: _Floats, claimed: _Floats) -> _Bools:
    same: _Bools = (ours == claimed) | (np.isnan(ours) & np.isnan(claimed))
    return same


def _ppm(value: float) -> int:
    """Rounded up: a tolerance in whole ppm is exceeded exactly when the value exceeds it."""
    return math.ceil(min(value * PPM, INCOMPARABLE_PPM))


def _float64_bytes(values: npt.NDArray[np.float64]) -> bytes:
    return values.astype("<f8", copy=False).tobytes()
