"""Draws and checks of a network whose membership stays genesis', asked by genesis alone."""

from __future__ import annotations

from functools import lru_cache

from protocol import audit, certificates, evidence, schedule
from protocol.audit import AuditedReport
from protocol.epochs.carried import CarriedEpochs
from protocol.epochs.view import Epoch
from protocol.genesis import Genesis
from protocol.messages import Certificate, Evidence, Report
from protocol.schedule import ShardRound
from protocol.statement import Statement


@lru_cache(maxsize=64)
def epochs_of(genesis: Genesis) -> CarriedEpochs:
    """All epochs of a network in which nothing happens."""
    return CarriedEpochs(genesis)


def epoch_of(genesis: Genesis, at: ShardRound) -> Epoch:
    """The epoch of a shard-round."""
    return epochs_of(genesis).of(at.epoch)


def dealer_of(genesis: Genesis, at: ShardRound) -> bytes:
    """Who deals."""
    return schedule.dealer_of(epoch_of(genesis, at), at)


def shard_of(genesis: Genesis, at: ShardRound) -> tuple[bytes, ...]:
    """Who answers."""
    return schedule.shard_of(epoch_of(genesis, at), at)


def witnesses_of(genesis: Genesis, at: ShardRound, encoder: bytes, count: int = 2) -> tuple[bytes, ...]:
    """Who receives commits beside the dealer."""
    return schedule.witnesses_of(epoch_of(genesis, at), at, encoder, count)


def mask_secret(genesis: Genesis, at: ShardRound, preimage: bytes) -> bytes:
    """The secret of a shard-round."""
    return schedule.mask_secret(epoch_of(genesis, at), at, preimage)


def pool_indices(genesis: Genesis, at: ShardRound) -> tuple[int, ...]:
    """The scored items of a shard-round."""
    return schedule.pool_indices(epoch_of(genesis, at), at)


def pool_block(genesis: Genesis, at: ShardRound) -> int:
    """The block of its pool a dealer deals."""
    return schedule.pool_block(epoch_of(genesis, at), at)


def check_certificate(genesis: Genesis, certificate: Certificate) -> None:
    """Raises CertificateError."""
    certificates.check_certificate(epoch_of(genesis, certificate.at), certificate)


def check_evidence(genesis: Genesis, found: Evidence) -> bytes:
    """Who is convicted. Raises EvidenceError."""
    return evidence.check_evidence(epochs_of(genesis), found)


def audit_report(genesis: Genesis, header: Statement[Report], data: bytes) -> AuditedReport:
    """Raises AuditError."""
    return audit.audit_report(epoch_of(genesis, header.body.at), header, data)
