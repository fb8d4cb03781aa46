"""Synthetic encoders and the stand-in for scoring: small enough that thousands run.

An encoder sees a text as the mean of its words' vectors, in 16 dimensions, and adds noise of its own: the
less noise, the better it is. Answers travel at their full size, 1024 dimensions, the rest of them zero.

The stand-in is not the scoring rule. It scores agreement, so that better encoders score higher, and every
attester recomputes it exactly as it would the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.epochs.learning import mean_steps
from protocol.batch import PPM, Role
from protocol.epochs.learnt import STEPS_PER_UNIT
from protocol.epochs.record import NOTHING
from protocol.hashing import digest
from protocol.report import DIMENSIONS, Deviation, ScoredShard, ScoreTask, Term

WIDTH = 16
"""Dimensions that are used."""
WEIGHT_POWER = 8

Rows = NDArray[np.float64]
Blob = Callable[[bytes], bytes | None]


class StandInError(ValueError):
    """Answers that cannot be scored: a blob is missing or has another size."""


def encode(key: bytes, noise: float, texts: Sequence[str]) -> bytes:
    """Answers of the encoder `key`: little-endian float32 [views, 1024], unit rows."""
    rows = np.zeros((len(texts), DIMENSIONS), "<f4")
    vectors = np.stack([_meaning(text) for text in texts])
    if noise:
        vectors += noise * _drawn([blake3(key + text.encode()).digest() for text in texts])
    rows[:, :WIDTH] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return rows.tobytes()


def stand_in_scores(task: ScoreTask, blob: Blob) -> ScoredShard:
    """Score by agreement with the mean of everyone valid; weight ~ score^8. Raises StandInError."""
    encoders, items = len(task.encoders), len(task.batch.items)
    places = [at for at, view in enumerate(task.batch.waves[2]) if view.role is Role.FULL]
    order = [task.batch.waves[2][at].item for at in places]
    fulls = np.zeros((encoders, items, WIDTH))
    for row, answers in enumerate(task.answers):
        if answers is not None:
            fulls[row, order] = _rows(blob(answers[2]), len(task.batch.waves[2]))[places]
    norms = np.linalg.norm(fulls, axis=2)
    valid = np.isfinite(norms) & (norms > 0.5) & (norms < 2)  # [N, I]
    unit = np.where(valid[..., None], fulls, 0.0) / np.where(valid, norms, 1.0)[..., None]
    middle = unit.sum(0) / np.maximum(valid.sum(0), 1)[:, None]  # [I, W]
    length = np.maximum(np.linalg.norm(middle, axis=1), 1e-12)
    agreement = np.maximum((unit * (middle / length[:, None])).sum(2).mean(1), 0.0)  # [N]
    availability = valid.mean(1)
    score = agreement * availability**2
    earned = score**WEIGHT_POWER * ~np.array(task.probation)
    total = float(earned.sum())
    if not total > 0:
        raise StandInError("no encoder answered anything that can be scored")
    weight = earned / total
    shares = (weight[:, None] * valid).sum(0)
    consensus = np.full((items, DIMENSIONS), np.nan, "<f4")
    answered = shares > 0
    consensus[answered] = 0
    mixed = (weight[:, None, None] * unit).sum(0)
    consensus[answered, :WIDTH] = mixed[answered] / shares[answered, None]
    middles = unit.mean(1)  # [N, W]
    terms = (
        Term("agreement", _bytes(agreement)),
        Term("availability", _bytes(availability)),
        Term("drift", _bytes(np.linalg.norm(middles - _recorded(task, blob, middles), axis=1))),
    )
    means = np.zeros((encoders, DIMENSIONS), "<f4")
    means[:, :WIDTH] = middles
    return ScoredShard(
        valid.astype(np.uint8).tobytes(),
        _bytes(score),
        _bytes(weight),
        terms,
        consensus.tobytes(),
        means.tobytes(),
    )


def stand_in_comparison(task: ScoreTask, blob: Blob, claimed: ScoredShard) -> tuple[Deviation, ...]:
    """How far each claim lies from our own, largest first found: |a - b| / (1 + |b|). Raises StandInError."""
    return deviations_from(stand_in_scores(task, blob), task, claimed)


def deviations_from(ours: ScoredShard, task: ScoreTask, claimed: ScoredShard) -> tuple[Deviation, ...]:
    """How far each claim lies from our own."""
    told = {term.name: term.values for term in claimed.terms}
    pairs = [("score", claimed.score, ours.score), ("weight", claimed.weight, ours.weight)]
    pairs += [(term.name, told.get(term.name, b""), term.values) for term in ours.terms]
    deviations = [_deviation(task, name, theirs, own) for name, theirs, own in pairs]
    deviations.append(Deviation("valid", b"", 0 if claimed.valid == ours.valid else PPM))
    for name in ("consensus", "means"):
        a, b = (
            np.frombuffer(getattr(scores, name), "<f4").reshape(-1, DIMENSIONS) for scores in (claimed, ours)
        )
        both_nan = np.isnan(a) & np.isnan(b)
        apart = np.linalg.norm(np.where(both_nan, 0.0, a - b), axis=1)
        deviations.append(Deviation(name, b"", _ppm(float(apart.max(initial=0.0)))))
    return tuple(deviations)


def _recorded(task: ScoreTask, blob: Blob, middles: Rows) -> Rows:
    """The encoders' means of the epoch's record, [N, W]; where it has none, those of the shard."""
    if task.means == NOTHING:
        return middles
    data = blob(task.means)
    if data is None:
        raise StandInError("the encoders' means of this epoch are missing")
    known = mean_steps(data)
    rows = [
        known[key] / STEPS_PER_UNIT if key in known else own
        for key, own in zip(task.encoders, middles, strict=True)
    ]
    return np.stack(rows)


def _deviation(task: ScoreTask, name: str, claimed: bytes, own: bytes) -> Deviation:
    if len(claimed) != len(own):
        return Deviation(name, b"", PPM)
    a, b = np.frombuffer(claimed, "<f8"), np.frombuffer(own, "<f8")
    apart = np.abs(a - b) / (1 + np.abs(b))
    row = int(apart.argmax())
    return Deviation(name, task.encoders[row], _ppm(float(apart[row])))


def _ppm(apart: float) -> int:
    return min(int(np.ceil(apart * PPM)), 1000 * PPM) if np.isfinite(apart) else 1000 * PPM


def _rows(data: bytes | None, views: int) -> Rows:
    if data is None or len(data) != views * DIMENSIONS * 4:
        raise StandInError("answers are missing or have another size")
    return np.frombuffer(data, "<f4").reshape(views, DIMENSIONS)[:, :WIDTH].astype(np.float64)


def _bytes(values: Rows) -> bytes:
    return values.astype("<f8").tobytes()


@lru_cache(maxsize=8192)
def _meaning(text: str) -> Rows:
    vector = _drawn([_word(word) for word in text.split(" ")]).sum(0)
    unit: Rows = vector / np.linalg.norm(vector)
    return unit


@lru_cache(maxsize=8192)
def _word(word: str) -> bytes:
    return digest("sim-word", word.encode())


def _drawn(seeds: Sequence[bytes]) -> Rows:
    """[seeds, W]: vectors of about unit length from 32 bytes each."""
    values = np.frombuffer(b"".join(seeds), np.int8).reshape(len(seeds), -1)[:, :WIDTH]
    rows: Rows = (values + 0.5) / (74 * WIDTH**0.5)
    return rows
