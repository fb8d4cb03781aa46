"""What an epoch learns from certified shard-rounds: the encoders' means and the moments of the consensus.

Vectors, and yet integers: coordinates are taken in steps of 2**-15, so that sums are exact and the same on
every machine. What follows from them in floating point, the shaping transform, each computes for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, TypeAlias

import msgspec

from protocol.codec import CodecError, Natural, PublicKey, Record, decode
from protocol.epochs.inputs import CertifiedRef
from protocol.epochs.record import NOTHING, EpochRecord
from protocol.genesis import MEMBERS_MAX

STEPS_PER_UNIT = 1 << 15
"""A coordinate of a unit vector is a whole number of steps in either object."""
MEANS_BYTES_MAX = 64 << 20
MOMENTS_BYTES_MAX = 16 << 20
ROWS_MAX = 1 << 14
"""Consensus vectors one epoch adds to the moments: those of its last shard-rounds."""
SHAPING_PERCENT = 30
"""The power by which eigenvalues are turned down, in hundredths, where the scoring rule has no other."""
FIRST_SHAPING_PERCENT = 25
"""The same of networks of the rules before `hardened-4`: their moments do not say it."""
_FOUR_FIELDS = b"\x94"
"""How MessagePack begins an array of four."""
_FIRST_RULES = frozenset({"hardened", "hardened-2", "hardened-3", "literal"})


class EncoderMeans(Record, frozen=True):
    """Where each encoder's answers lie on average: what they are centred on before they are scored."""

    encoders: Annotated[tuple[PublicKey, ...], msgspec.Meta(max_length=MEMBERS_MAX)]
    """Those that have revealed in a certified shard-round, in key order: the rows."""
    rows: bytes
    """Little-endian int16 [encoders, D], in steps."""


class Group(Record, frozen=True):
    """Consensus vectors that are centred alike. What is there halves when an epoch adds to it."""

    rows: Natural
    total: bytes
    """Sum of the vectors, little-endian int64 [D], in steps; empty without any."""


class ConsensusMoments(Record, frozen=True):
    """Sums over certified consensus vectors: the mean and covariance the shaping transform follows from."""

    centred: Group
    """Vectors of epochs whose record had means."""
    uncentred: Group
    """Vectors of the epochs before."""
    products: bytes
    """Sum of the outer products of the vectors of `centred`, or of `uncentred` as long as there are none
    there: the upper triangle by rows, little-endian int64 [D (D + 1) / 2], in squared steps."""


class ShapingMoments(ConsensusMoments, frozen=True):
    """The same, saying how they shape: whoever has them needs to know nothing else of the network."""

    shaping_percent: Annotated[int, msgspec.Meta(ge=1, le=50)]
    """Hundredths of the power by which eigenvalues are turned down; 50 would whiten."""


class Learnt(NamedTuple):
    """The canonical EncoderMeans and ConsensusMoments or ShapingMoments; empty: there are none yet."""

    means: bytes
    moments: bytes


NOTHING_LEARNT = Learnt(b"", b"")

Learn: TypeAlias = Callable[[Sequence[CertifiedRef]], Learnt]
"""What the next record learns from the certified shard-rounds it takes up."""


class LearntError(ValueError):
    """What was learnt cannot be read, or cannot be learnt here now; the message is safe to log."""


def shaping_percent(rule: str) -> int:
    """How strongly a network of this scoring rule shapes what it publishes, in hundredths."""
    return FIRST_SHAPING_PERCENT if rule in _FIRST_RULES else SHAPING_PERCENT


def learn_nothing(_: Sequence[CertifiedRef]) -> Learnt:
    """Where no vectors are kept."""
    return NOTHING_LEARNT


def named_in(record: EpochRecord) -> list[tuple[bytes, int]]:
    """Digest and size of what a record names: its means and its moments, none larger than any can be."""
    named = (
        (record.means, record.means_bytes, MEANS_BYTES_MAX),
        (record.moments, record.moments_bytes, MOMENTS_BYTES_MAX),
    )
    return [(name, size_bytes) for name, size_bytes, most in named if name != NOTHING and size_bytes <= most]


def means_from(data: bytes) -> EncoderMeans:
    """The means in `data`, their shape checked. Raises LearntError."""
    if not data:
        return EncoderMeans((), b"")
    try:
        means = decode(data, EncoderMeans, size_bytes_max=MEANS_BYTES_MAX)
    except CodecError as error:
        raise LearntError(f"the encoders' means cannot be read: {error}") from None
    keys = list(means.encoders)
    if keys != sorted(set(keys)) or not keys or len(means.rows) % (2 * len(keys)):
        raise LearntError("the encoders' means are not in key order, or not of one length")
    return means


def moments_from(data: bytes) -> ConsensusMoments:
    """The moments in `data`, their shape checked. Raises LearntError."""
    if not data:
        return ConsensusMoments(Group(0, b""), Group(0, b""), b"")
    try:
        kind = ShapingMoments if data[:1] == _FOUR_FIELDS else ConsensusMoments
        moments = decode(data, kind, size_bytes_max=MOMENTS_BYTES_MAX)
    except CodecError as error:
        raise LearntError(f"the consensus moments cannot be read: {error}") from None
    lengths = {len(group.total) for group in (moments.centred, moments.uncentred) if group.total}
    dimensions = min(lengths, default=0) // 8
    if (
        len(lengths) != 1
        or not dimensions
        or any(bool(group.rows) != bool(group.total) for group in (moments.centred, moments.uncentred))
        or len(moments.products) != 4 * dimensions * (dimensions + 1)
    ):
        raise LearntError("the consensus moments have shapes that do not belong together")
    return moments
