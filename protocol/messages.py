"""The bodies of all signed statements, in the order of a round.

Bodies are immutable records. Statements name each other by digest, so that a chain of digests binds a
certificate to everything that led to it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.codec import Digest, Natural, PublicKey, Record, Signature
from protocol.genesis import SHARD_SIZE_MAX, VALIDATORS_MAX
from protocol.schedule import ShardRound

ENCODERS_MAX = SHARD_SIZE_MAX
ATTESTATIONS_MAX = VALIDATORS_MAX
WAVES = (1, 2, 3)

WaveNumber = Annotated[int, msgspec.Meta(ge=1, le=3)]
WaveKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Salt = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Kind(StrEnum):
    """Kind of a signed statement; part of what is signed."""

    CHALLENGE = "challenge"
    COMMIT = "commit"
    LOCK = "lock"
    REVEAL = "reveal"
    REPORT = "report"
    ATTESTATION = "attestation"
    CERTIFICATE = "certificate"
    DISPUTE = "dispute"
    EVIDENCE = "evidence"


class SealedWave(Record, frozen=True):
    """Where a wave's views are: a ciphertext, named by the digest of its bytes."""

    digest: Digest
    size_bytes: Natural
    views: Natural
    """How many answers of 4,096 bytes the wave asks for."""


class Challenge(Record, frozen=True):
    """The dealer deals a batch. The views of all waves can be fetched now, and read one wave at a time."""

    at: ShardRound
    waves: tuple[SealedWave, SealedWave, SealedWave]
    secret_commitment: Digest
    wave_key: WaveKey
    """Opens wave 1; the locks bring the others."""
    wave_deadline_ms: Natural
    reveal_deadline_ms: Natural


class Commit(Record, frozen=True):
    """An encoder fixes its answers to one wave before anyone's are shown."""

    at: ShardRound
    wave: WaveNumber
    lock: Digest
    """The statement it answers: the challenge for wave 1, then the lock of the wave before."""
    commitment: Digest


class CommitRef(Record, frozen=True):
    """One entry of a lock."""

    encoder: PublicKey
    commit: Digest
    """Digest of the encoder's Commit statement."""


class Lock(Record, frozen=True):
    """The dealer closes a wave over the commits it has, and opens the next."""

    at: ShardRound
    wave: WaveNumber
    previous: Digest
    """The challenge for wave 1, then the lock of the wave before."""
    commits: Annotated[tuple[CommitRef, ...], msgspec.Meta(max_length=ENCODERS_MAX)]
    """In key order."""
    next_wave_key: Annotated[bytes, msgspec.Meta(max_length=32)]
    """Empty in the lock of the last wave."""


class Reveal(Record, frozen=True):
    """An encoder shows the salts and answers behind its three commits."""

    at: ShardRound
    lock: Digest
    """The lock of wave 3."""
    salts: tuple[Salt, Salt, Salt]
    answers: tuple[Digest, Digest, Digest]
    """Content digest of each wave's answers, which travel as bytes of little-endian float32 [views, 1024]."""


class Report(Record, frozen=True):
    """Header of a shard-round's report: everything that is certified hangs on its digest."""

    at: ShardRound
    challenge: Digest
    lock: Digest
    """The lock of wave 3."""
    body: Digest
    body_bytes: Natural
    items: Natural
    consensus_root: Digest
    """Merkle root over (item id, raw consensus vector) in batch order."""


class Attestation(Record, frozen=True):
    """A validator recomputed the report and agrees."""

    at: ShardRound
    report: Digest


class AttestationRef(Record, frozen=True):
    """One vote inside a certificate."""

    validator: PublicKey
    signature: Signature


class Certificate(Record, frozen=True):
    """Attestations of at least two thirds of all bonded validator stake."""

    at: ShardRound
    report: Digest
    attestations: Annotated[
        tuple[AttestationRef, ...], msgspec.Meta(min_length=1, max_length=ATTESTATIONS_MAX)
    ]
    """In key order."""


class Dispute(Record, frozen=True):
    """A validator recomputed the report and does not agree: which term, whose, by how much."""

    at: ShardRound
    report: Digest
    term: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    encoder: Annotated[bytes, msgspec.Meta(max_length=32)]
    """Empty when the term is nobody's in particular."""
    difference_ppm: Natural
    detail: Annotated[str, msgspec.Meta(max_length=400)]


class Offence(StrEnum):
    """What a piece of evidence shows."""

    EQUIVOCATION = "equivocation"
    """Two different statements by one key for one slot."""
    FALSE_REVEAL = "false-reveal"
    """A signed reveal whose salt and digest of answers do not open the key's own commit."""


class Evidence(Record, frozen=True):
    """Signed statements that together convict their author; needs nothing else to be checked."""

    offence: Offence
    statements: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=1 << 18)], ...],
        msgspec.Meta(min_length=2, max_length=2),
    ]
    """Envelopes in digest order."""


Body = Challenge | Commit | Lock | Reveal | Report | Attestation | Certificate | Dispute | Evidence

BODIES: dict[Kind, type[Body]] = {
    Kind.CHALLENGE: Challenge,
    Kind.COMMIT: Commit,
    Kind.LOCK: Lock,
    Kind.REVEAL: Reveal,
    Kind.REPORT: Report,
    Kind.ATTESTATION: Attestation,
    Kind.CERTIFICATE: Certificate,
    Kind.DISPUTE: Dispute,
    Kind.EVIDENCE: Evidence,
}
KINDS: dict[type[object], Kind] = {body: kind for kind, body in BODIES.items()}
