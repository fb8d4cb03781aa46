"""Certificates: made of attestations, checked by anyone."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.epochs.view import Epoch
from protocol.messages import Attestation, AttestationRef, Certificate
from protocol.quorum import has_quorum
from protocol.schedule import ShardRound
from protocol.signatures import verify
from protocol.statement import Statement, statement_digest


class CertificateError(ValueError):
    """Not a certificate of this network."""


def make_certificate(at: ShardRound, report: bytes, votes: Iterable[Statement[Attestation]]) -> Certificate:
    """The certificate of these attestations, in key order; whether they are a quorum is the caller's to
    know.
    """
    refs = sorted((vote.signer, vote.signature) for vote in votes)
    return Certificate(at, report, tuple(AttestationRef(key, signature) for key, signature in refs))


def quorum_of(epoch: Epoch, keys: Iterable[bytes]) -> bool:
    """Whether these validators, each given once, hold two thirds of the epoch's stake."""
    return has_quorum(sum(epoch.validators[key].stake for key in keys), epoch.total_stake)


def check_certificate(epoch: Epoch, certificate: Certificate) -> None:
    """Raises CertificateError unless every vote is a validator's, in order, signed, and they are a quorum."""
    if certificate.at.epoch != epoch.number:
        raise CertificateError(f"a certificate of epoch {certificate.at.epoch}, not of {epoch.number}")
    keys = [vote.validator for vote in certificate.attestations]
    if keys != sorted(set(keys)):
        raise CertificateError("its attestations are not in order or doubled")
    strangers = [key for key in keys if key not in epoch.validators]
    if strangers:
        raise CertificateError("an attestation by a key that is no validator of its epoch")
    if not quorum_of(epoch, keys):
        raise CertificateError("its attestations hold less than two thirds of the stake")
    body = Attestation(certificate.at, certificate.report)
    for vote in certificate.attestations:
        name = statement_digest(epoch.network_id, vote.validator, body)
        if not verify(vote.validator, name, vote.signature):
            raise CertificateError("an attestation's signature is not its validator's")
