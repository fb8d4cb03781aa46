"""The body of a report: all that is needed to recompute a shard-round, except the answers themselves.

Numbers travel as raw little-endian arrays in the shard's key order; answers are named by digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from protocol.batch import Batch
from protocol.codec import Digest, Natural, Record
from protocol.genesis import BATCH_ITEMS_MAX
from protocol.items import item_id
from protocol.merkle import merkle_root
from protocol.messages import ENCODERS_MAX, WAVES, Challenge, Commit, Lock, Report, Reveal
from protocol.modalities import ITEM_BYTES_MAX
from protocol.schedule import ShardRound
from protocol.statement import Statement

BODY_BYTES_MAX = 256 << 20
DIMENSIONS = 1024
VECTOR_BYTES = 4 * DIMENSIONS
TERMS_MAX = 64
INCOMPARABLE_PPM = 10**9
"""Deviation of a number that is finite on one side only, or of a term that one side does not have."""
PROOF_MAX = 32
"""Siblings of a Merkle proof: a tree has at most 2**32 leaves."""

EnvelopeBytes = Annotated[bytes, msgspec.Meta(max_length=512 << 10)]
ItemBytes = Annotated[bytes, msgspec.Meta(max_length=ITEM_BYTES_MAX)]


class PoolItem(Record, frozen=True):
    """A scored item with the proof that it is in its dealer's committed pool."""

    index: Natural
    data: ItemBytes
    proof: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=PROOF_MAX)]


class Term(Record, frozen=True):
    """One named term of the scoring rule, one float64 an encoder."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    values: bytes


class ScoredShard(Record, frozen=True):
    """What scoring makes of a batch's answers. Rows are the shard's encoders in key order."""

    valid: bytes
    """uint8 [encoders, items]."""
    score: bytes
    """float64 [encoders]."""
    weight: bytes
    """float64 [encoders]."""
    terms: Annotated[tuple[Term, ...], msgspec.Meta(max_length=TERMS_MAX)]
    consensus: bytes
    """float32 [items, 1024], raw: the space's transform is applied on read."""
    means: bytes
    """float32 [encoders, 1024]: the mean of each encoder's unit answers in this shard, whatever they were
    centred on. Zeros where nothing finite was revealed."""


class ReportBody(Record, frozen=True):
    """What a report's header names by digest."""

    challenge: EnvelopeBytes
    locks: tuple[EnvelopeBytes, EnvelopeBytes, EnvelopeBytes]
    commits: Annotated[tuple[EnvelopeBytes, ...], msgspec.Meta(max_length=len(WAVES) * ENCODERS_MAX)]
    """Of all locks, by wave, then by key."""
    reveals: Annotated[tuple[EnvelopeBytes, ...], msgspec.Meta(max_length=ENCODERS_MAX)]
    """In key order; an encoder of lock 3 without one withheld its answers."""
    scored: Annotated[tuple[PoolItem, ...], msgspec.Meta(max_length=BATCH_ITEMS_MAX)]
    served: Annotated[tuple[ItemBytes, ...], msgspec.Meta(max_length=BATCH_ITEMS_MAX)]
    scores: ScoredShard


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Everything scoring needs to know; the answers are looked up by digest."""

    at: ShardRound
    rule: str
    encoders: tuple[bytes, ...]
    """The shard, in key order: the rows."""
    answers: tuple[tuple[bytes, bytes, bytes] | None, ...]
    """Per encoder, the digests of its answers to the three waves; None for withheld."""
    batch: Batch
    probation: tuple[bool, ...]
    """Per encoder, whether it is too new to have weight."""
    means: bytes
    """Digest of the EncoderMeans of the epoch's record, 32 zero bytes for none; found like the answers."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """By how much a recomputed number differs from the claimed one: |a - b| / (1 + |b|), parts per
    million.
    """

    term: str
    encoder: bytes
    difference_ppm: int


@dataclass(frozen=True, slots=True)
class Proceedings:
    """What a dealer has gathered by the end of the reveals."""

    challenge: Statement[Challenge]
    locks: Sequence[Statement[Lock]]
    commits: Sequence[Mapping[bytes, Statement[Commit]]]
    """Per wave, by encoder."""
    reveals: Mapping[bytes, Statement[Reveal]]


def report_body(
    gathered: Proceedings,
    scored: Sequence[PoolItem],
    served: Sequence[bytes],
    scores: ScoredShard,
) -> ReportBody:
    """The body of a report, in its canonical order."""
    first, second, third = gathered.locks
    return ReportBody(
        challenge=gathered.challenge.data,
        locks=(first.data, second.data, third.data),
        commits=tuple(wave[key].data for wave in gathered.commits for key in sorted(wave)),
        reveals=tuple(gathered.reveals[key].data for key in sorted(gathered.reveals)),
        scored=tuple(scored),
        served=tuple(served),
        scores=scores,
    )


def consensus_leaves(items: Sequence[bytes], consensus: bytes) -> list[bytes]:
    """Leaves of the Merkle tree a certificate binds: item id, then the item's raw consensus vector."""
    return [
        item_id(item) + consensus[index * VECTOR_BYTES : (index + 1) * VECTOR_BYTES]
        for index, item in enumerate(items)
    ]


def report_header(
    at: ShardRound,
    challenge: bytes,
    lock: bytes,
    body_digest: bytes,
    body_bytes: int,
    batch: Batch,
    consensus: bytes,
    preimage: bytes,
) -> Report:
    """The header over a body: digests of challenge, lock 3 and body, the consensus root, the preimage."""
    root = merkle_root(consensus_leaves(batch.items, consensus))
    return Report(at, challenge, lock, body_digest, body_bytes, len(batch.items), root, preimage)
