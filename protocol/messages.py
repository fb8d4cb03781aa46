"""The bodies of all signed statements, in the order of a round.

Bodies are immutable records. Statements name each other by digest, so that a chain of digests binds a
certificate to everything that led to it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from protocol.cards import SignedCard
from protocol.codec import Digest, Natural, PublicKey, Record, Signature
from protocol.genesis import SHARD_SIZE_MAX, VALIDATORS_MAX, Positive, ShortText
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
    REGISTRATION = "registration"
    EXIT = "exit"
    STAKE_TRANSFER = "stake-transfer"
    PROPOSAL = "proposal"
    PREVOTE = "prevote"
    PRECOMMIT = "precommit"
    EPOCH_CERTIFICATE = "epoch-certificate"


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
    preimage: Digest
    """Of the dealer's hash chain: gives the mask secret, and with it masks, orders and wave keys."""


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
    WRONG_PREIMAGE = "wrong-preimage"
    """A signed report that shows another preimage than its place asks of its dealer's hash chain."""
    FALSE_CERTIFICATE = "false-certificate"
    """A signed certificate whose attestations are no quorum or not signed by who is said to have."""


class Evidence(Record, frozen=True):
    """Signed statements that together convict their author; needs nothing else to be checked."""

    offence: Offence
    statements: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=1 << 18)], ...],
        msgspec.Meta(min_length=1, max_length=2),
    ]
    """Envelopes in digest order; one of them where it convicts by itself."""


class Registration(Record, frozen=True):
    """A newcomer asks to be an encoder from one of the next epochs on. Its signer is no member yet."""

    at: ShardRound
    """First shard-round of the epoch it was made in: it counts in that one and the next."""
    model: Annotated[str, msgspec.Meta(max_length=200)]
    """What its operator says it runs; nobody relies on it."""
    addresses: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=8)]
    """Where it can be dialled; empty for one that only dials out."""
    work: Digest
    """Nonce of the proof of work; of any value where genesis holds a bond for the key."""


class Exit(Record, frozen=True):
    """An encoder leaves."""

    at: ShardRound
    """First shard-round of the epoch it was made in."""


class StakeTransfer(Record, frozen=True):
    """A validator hands part of its stake to another, or to a stranger that becomes one by it."""

    at: ShardRound
    """First shard-round of the epoch it was made in: it counts in the next two records, once."""
    to: PublicKey
    amount: Positive
    card: Annotated[tuple[SignedCard, ...], msgspec.Meta(max_length=1)]
    """The stranger's; none where `to` is a validator already."""


class Proposal(Record, frozen=True):
    """The proposer of a slot says what the next epoch's record should be computed from.

    Who stays with a record that a quorum was ready for may show that in any slot.
    """

    at: ShardRound
    """The slot's first shard: where this is said, whatever epoch it is about."""
    epoch: Positive
    """Whose record is to be agreed on."""
    inputs: Digest
    """Content digest of the canonical inputs."""
    inputs_bytes: Natural
    record: Digest
    """Digest of the record that follows from them."""
    seen_round: Natural
    """Round of an earlier slot in which a quorum was ready for this very record; 0 where there is none."""
    seen: Annotated[tuple[AttestationRef, ...], msgspec.Meta(max_length=ATTESTATIONS_MAX)]
    """The prevotes of that quorum, in key order."""


class Prevote(Record, frozen=True):
    """A validator is ready for a record: it follows from inputs that hold."""

    at: ShardRound
    epoch: Positive
    record: Digest
    inputs: Digest
    """As the proposal named them: whoever sees a quorum can fetch what it is ready for, and propose it."""
    inputs_bytes: Natural


class Precommit(Record, frozen=True):
    """A validator saw a quorum of prevotes, and stays with this record."""

    at: ShardRound
    epoch: Positive
    record: Digest


class EpochCertificate(Record, frozen=True):
    """Precommits of one slot by two thirds of the stake of the epoch before: the record stands."""

    at: ShardRound
    epoch: Positive
    record: Digest
    precommits: Annotated[tuple[AttestationRef, ...], msgspec.Meta(min_length=1, max_length=ATTESTATIONS_MAX)]
    """In key order."""


AboutEpoch = Proposal | Prevote | Precommit | EpochCertificate
"""What is said in agreeing on the record of an epoch."""
Body = (
    Challenge
    | Commit
    | Lock
    | Reveal
    | Report
    | Attestation
    | Certificate
    | Dispute
    | Evidence
    | Registration
    | Exit
    | StakeTransfer
    | AboutEpoch
)

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
    Kind.REGISTRATION: Registration,
    Kind.EXIT: Exit,
    Kind.STAKE_TRANSFER: StakeTransfer,
    Kind.PROPOSAL: Proposal,
    Kind.PREVOTE: Prevote,
    Kind.PRECOMMIT: Precommit,
    Kind.EPOCH_CERTIFICATE: EpochCertificate,
}
KINDS: dict[type[object], Kind] = {body: kind for kind, body in BODIES.items()}
