"""Votes on the record of an epoch that others can check: what a quorum was ready for, and what stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from protocol.certificates import quorum_of
from protocol.codec import Record, decode
from protocol.epochs.record import RECORD_BYTES_MAX, EpochRecord, RecordError, record_digest
from protocol.epochs.view import Epoch
from protocol.messages import AttestationRef, Body, EpochCertificate, Precommit, Prevote, Proposal
from protocol.schedule import ShardRound
from protocol.signatures import verify
from protocol.statement import Statement, statement_digest


class EpochCertificateError(ValueError):
    """Votes that are no quorum, or not signed by who is said to have."""


class CertifiedRecord(Record, frozen=True):
    """A record and what it stands by."""

    record: Annotated[bytes, msgspec.Meta(max_length=RECORD_BYTES_MAX)]
    """Canonical EpochRecord."""
    certificate: EpochCertificate


def checked_record(members: Epoch, told: CertifiedRecord) -> EpochRecord:
    """The record after `members`, which it names and by whose validators it stands.

    Raises CodecError, RecordError or EpochCertificateError.
    """
    record = decode(told.record, EpochRecord, size_bytes_max=RECORD_BYTES_MAX)
    if record.epoch != members.number + 1 or record.previous != members.digest:
        raise RecordError(f"the record of epoch {record.epoch} does not follow that of {members.number}")
    if told.certificate.record != record_digest(members.network_id, record):
        raise EpochCertificateError("the certificate is for another record")
    check_epoch_certificate(members, told.certificate)
    return record


def votes_of(statements: Iterable[Statement[Prevote] | Statement[Precommit]]) -> tuple[AttestationRef, ...]:
    """Votes in key order."""
    refs = sorted((statement.signer, statement.signature) for statement in statements)
    return tuple(AttestationRef(key, signature) for key, signature in refs)


def check_epoch_certificate(members: Epoch, certificate: EpochCertificate) -> None:
    """Check that the record after `members` stands. Raises EpochCertificateError."""
    if certificate.epoch != members.number + 1:
        raise EpochCertificateError(f"it is about epoch {certificate.epoch}, not {members.number + 1}")
    body = Precommit(certificate.at, certificate.epoch, certificate.record)
    _check_votes(members, body, certificate.precommits)


def check_seen(members: Epoch, proposal: Proposal) -> None:
    """Check the prevotes that a proposal says were seen, if any. Raises EpochCertificateError."""
    if not proposal.seen:
        if proposal.seen_round:
            raise EpochCertificateError("it names a round without the prevotes seen there")
        return
    if not 0 < proposal.seen_round < proposal.at.round:
        raise EpochCertificateError("the prevotes it shows are not of an earlier slot")
    at = slot_place(members, proposal.seen_round)
    body = Prevote(at, proposal.epoch, proposal.record, proposal.inputs, proposal.inputs_bytes)
    _check_votes(members, body, proposal.seen)


def slot_place(members: Epoch, round_: int) -> ShardRound:
    """Where things about epochs are said in a slot: its first shard."""
    return ShardRound(round_ // members.parameters.epoch_rounds, round_, 0)


def _check_votes(members: Epoch, body: Body, votes: Sequence[AttestationRef]) -> None:
    keys = [vote.validator for vote in votes]
    if keys != sorted(set(keys)):
        raise EpochCertificateError("its votes are not in order or doubled")
    if any(key not in members.validators for key in keys):
        raise EpochCertificateError("a vote by a key that is no validator of the epoch before")
    if not quorum_of(members, keys):
        raise EpochCertificateError("its votes hold less than two thirds of the stake")
    for vote in votes:
        name = statement_digest(members.network_id, vote.validator, body)
        if not verify(vote.validator, name, vote.signature):
            raise EpochCertificateError("a vote's signature is not its validator's")
