"""Evidence: signed statements that convict their author, whoever presents them and in whatever order."""

from __future__ import annotations

from protocol.audit import contradicted_wave, is_own_preimage, reveal_commitment
from protocol.certificates import CertificateError, check_certificate
from protocol.epochs.known import Epochs
from protocol.messages import (
    AboutEpoch,
    Body,
    Certificate,
    Commit,
    Evidence,
    Kind,
    Lock,
    Offence,
    Report,
    Reveal,
)
from protocol.schedule import ShardRound, dealer_of
from protocol.statement import Statement, StatementError, parse, verify_signature

Slot = tuple[Kind, ShardRound, int, bytes]
"""(kind, shard-round, wave or 0, signer): where a key may make one statement only."""

VOTE_KINDS = frozenset(
    {
        Kind.CHALLENGE,
        Kind.COMMIT,
        Kind.LOCK,
        Kind.REVEAL,
        Kind.REPORT,
        Kind.ATTESTATION,
        Kind.PROPOSAL,
        Kind.PREVOTE,
        Kind.PRECOMMIT,
    }
)
"""Kinds of which a key signs one statement a slot; the others contradict nothing and are signed freely."""


class EvidenceError(ValueError):
    """Statements that convict nobody."""


def vote_wave(body: Body) -> int:
    """The wave of a commit or lock; 0 for statements that belong to no wave."""
    return body.wave if isinstance(body, Commit | Lock) else 0


def vote_slot(statement: Statement[Body]) -> Slot | None:
    """The slot in which the signer may make no second statement; None for kinds without such a rule."""
    body = statement.body
    if isinstance(body, Evidence) or statement.kind not in VOTE_KINDS:
        return None
    return (statement.kind, body.at, vote_wave(body), statement.signer)


def members_epoch(body: Body) -> int:
    """Number of the epoch whose members may make this statement; of evidence, ask what it accuses."""
    assert not isinstance(body, Evidence)
    # The next record is agreed on by the members of the one before.
    return body.epoch - 1 if isinstance(body, AboutEpoch) else body.at.epoch


def equivocation(first: Statement[Body], second: Statement[Body]) -> Evidence:
    """Evidence of two different statements for one slot."""
    return _evidence(Offence.EQUIVOCATION, first, second)


def false_reveal(commit: Statement[Commit], reveal: Statement[Reveal]) -> Evidence:
    """Evidence of a reveal that does not open its author's own commit."""
    return _evidence(Offence.FALSE_REVEAL, commit, reveal)


def wrong_preimage(report: Statement[Report]) -> Evidence:
    """Evidence of a report that shows a preimage its dealer never registered."""
    return _evidence(Offence.WRONG_PREIMAGE, report)


def false_certificate(certificate: Statement[Certificate]) -> Evidence:
    """Evidence of a certificate that certifies nothing."""
    return _evidence(Offence.FALSE_CERTIFICATE, certificate)


def find_false_reveal(
    network_id: bytes, reveal: Statement[Reveal], commits: list[Statement[Commit]]
) -> Evidence | None:
    """Evidence against the reveal's author when it contradicts one of its three commits."""
    wave = contradicted_wave(network_id, reveal, commits)
    return None if wave is None else false_reveal(commits[wave - 1], reveal)


def accused_epoch(network_id: bytes, evidence: Evidence) -> int:
    """Number of the epoch whose member evidence accuses. Raises EvidenceError."""
    try:
        body = parse(evidence.statements[0], network_id).body
    except StatementError as error:
        raise EvidenceError(str(error)) from None
    if isinstance(body, Evidence):
        raise EvidenceError("evidence convicts nobody of giving evidence")
    return members_epoch(body)


def check_evidence(epochs: Epochs, evidence: Evidence) -> bytes:
    """The public key the evidence convicts.

    Raises EvidenceError when it convicts nobody, UnknownEpochError when that cannot be told here yet.
    """
    network_id = epochs.genesis.network_id
    try:
        statements = [parse(data, network_id) for data in evidence.statements]
    except StatementError as error:
        raise EvidenceError(str(error)) from None
    first, last = statements[0], statements[-1]
    if any(isinstance(statement.body, Evidence) for statement in statements):
        raise EvidenceError("evidence convicts nobody of giving evidence")
    if len(statements) != _COUNT[evidence.offence]:
        raise EvidenceError("more or fewer statements than this offence takes")
    if len(statements) == 2 and first.digest >= last.digest:
        raise EvidenceError("the statements are the same or out of order")
    member = epochs.of(members_epoch(first.body)).is_member(first.signer)
    if first.signer != last.signer or not member:
        raise EvidenceError("the statements are not one member's")
    if not all(verify_signature(statement) for statement in statements):
        raise EvidenceError("a statement is not signed by its signer")
    match evidence.offence:
        case Offence.EQUIVOCATION:
            slot = vote_slot(first)
            if slot is None or slot != vote_slot(last):
                raise EvidenceError("the statements belong to different slots")
        case Offence.FALSE_REVEAL:
            _check_false_reveal(network_id, first, last)
        case Offence.WRONG_PREIMAGE:
            _check_wrong_preimage(epochs, first)
        case Offence.FALSE_CERTIFICATE:
            _check_false_certificate(epochs, first)
    return first.signer


_COUNT = {
    Offence.EQUIVOCATION: 2,
    Offence.FALSE_REVEAL: 2,
    Offence.WRONG_PREIMAGE: 1,
    Offence.FALSE_CERTIFICATE: 1,
}


def _check_false_reveal(network_id: bytes, first: Statement[Body], second: Statement[Body]) -> None:
    commit, reveal = (first, second) if isinstance(first.body, Commit) else (second, first)
    if not isinstance(commit.body, Commit) or not isinstance(reveal.body, Reveal):
        raise EvidenceError("not a commit and a reveal")
    if commit.body.at != reveal.body.at:
        raise EvidenceError("commit and reveal are of different shard-rounds")
    index = commit.body.wave - 1
    opened = reveal_commitment(
        network_id, commit.signer, commit.body, reveal.body.salts[index], reveal.body.answers[index]
    )
    if opened == commit.body.commitment:
        raise EvidenceError("the reveal opens the commit")


def _check_wrong_preimage(epochs: Epochs, statement: Statement[Body]) -> None:
    report = statement.body
    if not isinstance(report, Report):
        raise EvidenceError("not a report")
    epoch = epochs.of(report.at.epoch)
    # Who was not drawn may say what it likes: nobody takes it for a report.
    if statement.signer != dealer_of(epoch, report.at):
        raise EvidenceError("its signer was not drawn to deal")
    if is_own_preimage(epoch.validators[statement.signer], epochs.genesis, report):
        raise EvidenceError("the preimage is the one its place asks for")


def _check_false_certificate(epochs: Epochs, statement: Statement[Body]) -> None:
    if not isinstance(statement.body, Certificate):
        raise EvidenceError("not a certificate")
    try:
        check_certificate(epochs.of(statement.body.at.epoch), statement.body)
    except CertificateError:
        return
    raise EvidenceError("the certificate holds")


def _evidence(offence: Offence, *statements: Statement[Body]) -> Evidence:
    ordered = sorted(statements, key=lambda statement: statement.digest)
    return Evidence(offence, tuple(statement.data for statement in ordered))
