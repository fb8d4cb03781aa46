"""Certificates: made of attestations, checked by anyone."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.genesis import Genesis
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


def check_certificate(genesis: Genesis, certificate: Certificate) -> None:
    """Raises CertificateError unless every vote is a validator's, in order, signed, and they are a quorum."""
    keys = [vote.validator for vote in certificate.attestations]
    if keys != sorted(set(keys)):
        raise CertificateError("its attestations are not in order or doubled")
    strangers = [key for key in keys if key not in genesis.validators]
    if strangers:
        raise CertificateError("an attestation by a key that is no validator of this network")
    if not has_quorum(sum(genesis.validators[key].stake for key in keys), genesis.total_stake):
        raise CertificateError("its attestations hold less than two thirds of the stake")
    body = Attestation(certificate.at, certificate.report)
    for vote in certificate.attestations:
        name = statement_digest(genesis.network_id, vote.validator, body)
        if not verify(vote.validator, name, vote.signature):
            raise CertificateError("an attestation's signature is not its validator's")
