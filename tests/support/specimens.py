"""One statement of every kind with fixed bytes: what the vectors pin."""

from __future__ import annotations

from protocol.cards import SignedCard, ValidatorCard
from protocol.evidence import equivocation
from protocol.hashing import digest
from protocol.messages import (
    Attestation,
    AttestationRef,
    Body,
    Certificate,
    Challenge,
    Commit,
    CommitRef,
    Dispute,
    EpochCertificate,
    Exit,
    Kind,
    Lock,
    Precommit,
    Prevote,
    Proposal,
    Registration,
    Report,
    Reveal,
    SealedWave,
    StakeTransfer,
)
from protocol.schedule import ShardRound
from protocol.signatures import public_key, sign
from protocol.statement import Statement, assemble, statement_digest

NETWORK_ID = digest("vector-network")
SEED = digest("vector-key")
AT = ShardRound(2, 300, 1)


def name(text: str) -> bytes:
    """32 bytes that stand for a digest or key."""
    return digest("vector", text.encode())


def signed(body: Body) -> Statement[Body]:
    """The statement of the vectors' only key."""
    key = public_key(SEED)
    return assemble(NETWORK_ID, key, body, sign(SEED, statement_digest(NETWORK_ID, key, body)))


def specimens() -> dict[Kind, Statement[Body]]:
    """A statement of every kind."""
    first, second, third = (SealedWave(name(f"wave {n}"), 70_000 * n, 64 * n) for n in (1, 2, 3))
    keys = sorted(name(f"key {n}") for n in range(3))
    attestation = Attestation(AT, name("report"))
    bodies: dict[Kind, Body] = {
        Kind.CHALLENGE: Challenge(
            AT, (first, second, third), name("secret"), name("wave key 1"), 5_000, 1 << 40
        ),
        Kind.COMMIT: Commit(AT, 2, name("lock 1"), name("commitment")),
        Kind.LOCK: Lock(
            AT,
            1,
            name("challenge"),
            tuple(CommitRef(key, name(f"commit {n}")) for n, key in enumerate(keys)),
            name("wave key 2"),
        ),
        Kind.REVEAL: Reveal(
            AT,
            name("lock 3"),
            (name("salt 1"), name("salt 2"), name("salt 3")),
            (name("answers 1"), name("answers 2"), name("answers 3")),
        ),
        Kind.REPORT: Report(
            AT,
            name("challenge"),
            name("lock 3"),
            name("body"),
            1 << 20,
            72,
            name("consensus"),
            name("preimage"),
        ),
        Kind.ATTESTATION: attestation,
        Kind.CERTIFICATE: Certificate(
            AT, name("report"), tuple(AttestationRef(key, key + name("half")) for key in keys)
        ),
        Kind.DISPUTE: Dispute(AT, name("report"), "score", keys[0], 2_500, "recomputed, it lies 0.0025 away"),
        Kind.EVIDENCE: equivocation(signed(attestation), signed(Attestation(AT, name("other report")))),
        Kind.REGISTRATION: Registration(AT, "wordllama-256", ("/ip4/192.0.2.7/tcp/4001",), name("work")),
        Kind.EXIT: Exit(AT),
        Kind.STAKE_TRANSFER: StakeTransfer(
            AT,
            keys[1],
            250,
            (
                SignedCard(
                    ValidatorCard(keys[1], ("/ip4/192.0.2.9/tcp/7700",), name("pool"), 513, name("tip")),
                    keys[1] + name("half"),
                ),
            ),
        ),
        Kind.PROPOSAL: Proposal(
            AT,
            3,
            name("inputs"),
            70_000,
            name("record"),
            299,
            tuple(AttestationRef(key, key + name("half")) for key in keys),
        ),
        Kind.PREVOTE: Prevote(AT, 3, name("record"), name("inputs"), 4_321),
        Kind.PRECOMMIT: Precommit(AT, 3, name("record")),
        Kind.EPOCH_CERTIFICATE: EpochCertificate(
            AT, 3, name("record"), tuple(AttestationRef(key, key + name("half")) for key in keys)
        ),
    }
    return {kind: signed(body) for kind, body in bodies.items()}
