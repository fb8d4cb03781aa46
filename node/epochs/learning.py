"""From the vectors of certified shard-rounds to what a record names: whole numbers, the same everywhere.

Matrix products of whole numbers are exact in float64 in whatever order they are added up, as long as no sum
reaches 2**53: at most 2**15 rows, the kept half included, of products of at most 2**30.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from protocol.codec import encode
from protocol.epochs.learnt import (
    FIRST_SHAPING_PERCENT,
    ROWS_MAX,
    SHAPING_PERCENT,
    STEPS_PER_UNIT,
    ConsensusMoments,
    EncoderMeans,
    Group,
    Learnt,
    ShapingMoments,
    means_from,
    moments_from,
)

Floats: TypeAlias = npt.NDArray[np.float32]
Wholes: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardVectors:
    """The vectors of one certified shard-round."""

    encoders: Sequence[bytes]
    """That revealed."""
    means: Floats
    """[encoders, D], as the report has them."""
    consensus: Floats
    """[items, D]; NaN for an item without an embedding."""


def learn_from(
    previous: Learnt,
    encoders: Collection[bytes],
    centred: bool,
    shards: Iterable[ShardVectors],
    shaping_percent: int = SHAPING_PERCENT,
) -> Learnt:
    """What was learnt before, and from the shard-rounds of one epoch, newest first.

    `encoders` are the members whose means are kept; `centred` says whether that epoch's record had means;
    `shaping_percent` how strongly the network shapes. An epoch without certified
    shard-rounds changes nothing. Raises LearntError when `previous` cannot be read.
    """
    totals: dict[bytes, tuple[int, Wholes]] = {}
    blocks: list[Wholes] = []
    left = ROWS_MAX
    for shard in shards:
        for key, row in zip(shard.encoders, _steps(shard.means), strict=True):
            count, total = totals.get(key, (0, np.zeros(len(row), np.int64)))
            totals[key] = count + 1, total + row
        known = shard.consensus[np.isfinite(shard.consensus).all(1)][:left]
        blocks.append(_steps(known))
        left -= len(known)
    if not totals:
        return previous
    rows = np.concatenate(blocks)
    return Learnt(
        _means(previous.means, encoders, totals),
        previous.moments if not len(rows) else _moments(previous.moments, centred, rows, shaping_percent),
    )


def mean_steps(data: bytes) -> dict[bytes, npt.NDArray[np.int16]]:
    """The mean of each encoder that has one, int16 [D] in steps. Raises LearntError."""
    means = means_from(data)
    if not means.encoders:
        return {}
    rows = np.frombuffer(means.rows, "<i2").reshape(len(means.encoders), -1)
    return dict(zip(means.encoders, rows, strict=True))


def _means(data: bytes, encoders: Collection[bytes], totals: dict[bytes, tuple[int, Wholes]]) -> bytes:
    """The mean over an epoch's shards of each encoder that revealed in one; the one before of all others."""
    found = mean_steps(data)
    for key, (count, total) in totals.items():
        # Rounded to the nearest step; a mean of rows within +-STEPS_PER_UNIT fits but for the last one up.
        nearest = np.minimum((2 * total + count) // (2 * count), STEPS_PER_UNIT - 1)
        found[key] = nearest.astype("<i2")
    kept = sorted(found.keys() & set(encoders))
    if not kept:
        return b""
    return encode(EncoderMeans(tuple(kept), np.stack([found[key] for key in kept]).astype("<i2").tobytes()))


def _moments(data: bytes, centred: bool, rows: Wholes, shaping_percent: int) -> bytes:
    before = moments_from(data)
    old = _halved(before.centred if centred else before.uncentred)
    count, total = len(rows) + old.rows, rows.sum(0)
    if old.rows:
        total = total + np.frombuffer(old.total, "<i8")
    group = Group(count, total.astype("<i8").tobytes())
    if not centred and before.centred.rows:
        # Around another origin: they have a mean of their own, and say nothing of this covariance.
        return _encoded(before.centred, group, before.products, shaping_percent)
    exact = rows.astype(np.float64)
    products = (exact.T @ exact)[np.triu_indices(rows.shape[1])].astype("<i8")  # [D, J] @ [J, D]
    if old.rows:
        products = products + (np.frombuffer(before.products, "<i8") >> 1)
    groups = (group, before.uncentred) if centred else (before.centred, group)
    return _encoded(*groups, products.astype("<i8").tobytes(), shaping_percent)


def _encoded(centred: Group, uncentred: Group, products: bytes, shaping_percent: int) -> bytes:
    if shaping_percent == FIRST_SHAPING_PERCENT:
        return encode(ConsensusMoments(centred, uncentred, products))
    return encode(ShapingMoments(centred, uncentred, products, shaping_percent))


def _halved(group: Group) -> Group:
    if group.rows < 2:
        return Group(0, b"")
    return Group(group.rows // 2, (np.frombuffer(group.total, "<i8") >> 1).astype("<i8").tobytes())


def _steps(vectors: Floats) -> Wholes:
    """Coordinates in whole steps, rounded half to even; what is no number is 0, none lies beyond +-1."""
    finite = np.nan_to_num(vectors.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    steps: Wholes = np.rint(np.clip(finite, -1.0, 1.0) * STEPS_PER_UNIT).astype(np.int64)
    return steps
