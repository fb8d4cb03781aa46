"""Evidence: two signed statements that convict their author, whoever presents them and in whatever order."""

from __future__ import annotations

from protocol.audit import contradicted_wave, reveal_commitment
from protocol.genesis import Genesis
from protocol.messages import Body, Commit, Evidence, Kind, Lock, Offence, Reveal
from protocol.schedule import ShardRound
from protocol.statement import Statement, StatementError, parse, verify_signature

Slot = tuple[Kind, ShardRound, int, bytes]
"""(kind, shard-round, wave or 0, signer): where a key may make one statement only."""

_SLOTTED = (Kind.CHALLENGE, Kind.COMMIT, Kind.LOCK, Kind.REVEAL, Kind.REPORT, Kind.ATTESTATION)


class EvidenceError(ValueError):
    """Statements that convict nobody."""


def vote_wave(body: Body) -> int:
    """The wave of a commit or lock; 0 for statements that belong to no wave."""
    return body.wave if isinstance(body, Commit | Lock) else 0


def vote_slot(statement: Statement[Body]) -> Slot | None:
    """The slot in which the signer may make no second statement; None for kinds without such a rule."""
    body = statement.body
    if statement.kind not in _SLOTTED:
        return None
    return (statement.kind, body.at, vote_wave(body), statement.signer)  # type: ignore[union-attr]


def equivocation(first: Statement[Body], second: Statement[Body]) -> Evidence:
    """Evidence of two different statements for one slot."""
    return _evidence(Offence.EQUIVOCATION, first, second)


def false_reveal(commit: Statement[Commit], reveal: Statement[Reveal]) -> Evidence:
    """Evidence of a reveal that does not open its author's own commit."""
    return _evidence(Offence.FALSE_REVEAL, commit, reveal)


def find_false_reveal(
    network_id: bytes, reveal: Statement[Reveal], commits: list[Statement[Commit]]
) -> Evidence | None:
    """Evidence against the reveal's author when it contradicts one of its three commits."""
    wave = contradicted_wave(network_id, reveal, commits)
    return None if wave is None else false_reveal(commits[wave - 1], reveal)


def check_evidence(genesis: Genesis, evidence: Evidence) -> bytes:
    """The public key the evidence convicts. Raises EvidenceError when it convicts nobody."""
    try:
        first, second = (parse(data, genesis.network_id) for data in evidence.statements)
    except StatementError as error:
        raise EvidenceError(str(error)) from None
    if first.digest >= second.digest:
        raise EvidenceError("the statements are the same or out of order")
    if first.signer != second.signer or not genesis.is_member(first.signer):
        raise EvidenceError("the statements are not one member's")
    if not (verify_signature(first) and verify_signature(second)):
        raise EvidenceError("a statement is not signed by its signer")
    if evidence.offence is Offence.EQUIVOCATION:
        slot = vote_slot(first)
        if slot is None or slot != vote_slot(second):
            raise EvidenceError("the statements belong to different slots")
    else:
        _check_false_reveal(genesis, first, second)
    return first.signer


def _check_false_reveal(genesis: Genesis, first: Statement[Body], second: Statement[Body]) -> None:
    commit, reveal = (first, second) if isinstance(first.body, Commit) else (second, first)
    if not isinstance(commit.body, Commit) or not isinstance(reveal.body, Reveal):
        raise EvidenceError("not a commit and a reveal")
    if commit.body.at != reveal.body.at:
        raise EvidenceError("commit and reveal are of different shard-rounds")
    index = commit.body.wave - 1
    opened = reveal_commitment(
        genesis.network_id, commit.signer, commit.body, reveal.body.salts[index], reveal.body.answers[index]
    )
    if opened == commit.body.commitment:
        raise EvidenceError("the reveal opens the commit")


def _evidence(offence: Offence, *statements: Statement[Body]) -> Evidence:
    ordered = sorted(statements, key=lambda statement: statement.digest)
    return Evidence(offence, tuple(statement.data for statement in ordered))
