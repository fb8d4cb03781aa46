"""Which statements a node accepts from others: one rule, one condition, one reason.

Rules run cheapest first: size and schema, known signer, round window, seen, then what only the kind knows,
the signature last of all that need no statement but this one. ACCEPT is handed to the machines and
forwarded; IGNORE is neither forwarded nor held against anyone; REJECT is what no honest node would have
forwarded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.certificates import CertificateError, check_certificate
from protocol.evidence import EvidenceError, check_evidence, vote_slot
from protocol.genesis import Genesis
from protocol.messages import (
    Attestation,
    Body,
    Certificate,
    Challenge,
    Commit,
    Dispute,
    Evidence,
    Kind,
    Lock,
    Report,
    Reveal,
)
from protocol.schedule import dealer_of, is_scheduled, round_at, shard_of, slot_start_ms
from protocol.statement import Statement, StatementError, parse, verify_signature
from protocol.verdict import Verdict

ROUNDS_KEPT = 3
"""Statements of older rounds are ignored: their rounds have expired."""
CLOCK_SKEW_MS = 2_000
"""A statement this much ahead of its slot still counts: honest clocks differ."""


class Topic:
    """Names of the gossip topics of one network."""

    def __init__(self, network_id: bytes) -> None:
        prefix = f"/deltamesh/{network_id.hex()[:16]}"
        self.rounds = f"{prefix}/rounds"
        """What encoders and validators need: challenges, locks, certificates, evidence."""
        self.votes = f"{prefix}/votes"
        """What only validators need: commits, reports, attestations, disputes."""

    def of(self, kind: Kind) -> str | None:
        """The topic a kind travels on; None for kinds that travel over streams only."""
        if kind in (Kind.CHALLENGE, Kind.LOCK, Kind.CERTIFICATE, Kind.EVIDENCE):
            return self.rounds
        return None if kind is Kind.REVEAL else self.votes


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to do with the bytes, why, and the statement when it could be read and was signed."""

    verdict: Verdict
    reason: str
    statement: Statement[Body] | None = None


@dataclass(frozen=True, slots=True)
class Gossip:
    """What the rules need to know beside the bytes."""

    genesis: Genesis
    now_ms: int
    seen: Callable[[bytes], bool]
    """Whether a statement with this digest was accepted before."""
    first_in_slot: Callable[[tuple[object, ...]], Statement[Body] | None]
    """The statement accepted first for a vote slot."""


def judge(data: bytes, gossip: Gossip) -> Judgement:
    """The verdict on one received envelope. Never raises, whatever the bytes are."""
    genesis = gossip.genesis
    try:
        statement = parse(data, genesis.network_id)
    except StatementError as error:
        return Judgement(Verdict.REJECT, str(error))
    if not genesis.is_member(statement.signer):
        return Judgement(Verdict.REJECT, "its signer is no member of this network")
    window = _window(statement, gossip)
    if window is not None:
        return window
    if gossip.seen(statement.digest):
        return Judgement(Verdict.IGNORE, "seen before")
    reason = _RULES[statement.kind](statement, genesis)
    if reason is not None:
        return Judgement(Verdict.REJECT, reason)
    if not verify_signature(statement):
        return Judgement(Verdict.REJECT, "its signature is not its signer's")
    slot = vote_slot(statement)
    if slot is not None:
        first = gossip.first_in_slot(slot)
        if first is not None and first.digest != statement.digest:
            # Whoever forwards it may have seen only this one: the signer is to blame, through evidence.
            return Judgement(Verdict.IGNORE, "its signer said something else before", statement)
    return Judgement(Verdict.ACCEPT, "", statement)


def _window(statement: Statement[Body], gossip: Gossip) -> Judgement | None:
    body = statement.body
    if isinstance(body, Evidence):
        return None
    if not is_scheduled(gossip.genesis, body.at):
        return Judgement(Verdict.REJECT, "no such shard-round in this network")
    if gossip.now_ms + CLOCK_SKEW_MS < slot_start_ms(gossip.genesis, body.at.round):
        return Judgement(Verdict.IGNORE, "its round has not begun")
    if body.at.round < round_at(gossip.genesis, gossip.now_ms) - ROUNDS_KEPT:
        return Judgement(Verdict.IGNORE, "its round is over")
    return None


def _by_dealer(statement: Statement[Body], genesis: Genesis) -> str | None:
    assert isinstance(statement.body, Challenge | Lock | Report)
    if statement.signer != dealer_of(genesis, statement.body.at):
        return "its signer was not drawn to deal this shard"
    return None


def _challenge(statement: Statement[Body], genesis: Genesis) -> str | None:
    body = statement.body
    assert isinstance(body, Challenge)
    parameters = genesis.parameters
    deadlines = (body.wave_deadline_ms, body.reveal_deadline_ms)
    if deadlines != (parameters.wave_deadline_ms, parameters.reveal_deadline_ms):
        return "its deadlines are not the network's"
    return _by_dealer(statement, genesis)


def _lock(statement: Statement[Body], genesis: Genesis) -> str | None:
    body = statement.body
    assert isinstance(body, Lock)
    keys = [ref.encoder for ref in body.commits]
    if keys != sorted(set(keys)):
        return "its commits are not in order or doubled"
    if not set(keys) <= set(shard_of(genesis, body.at)):
        return "it locks a commit of a stranger to the shard"
    if len(body.next_wave_key) != (32 if body.wave < 3 else 0):
        return "it brings no key where one belongs, or one where none does"
    return _by_dealer(statement, genesis)


def _by_shard(statement: Statement[Body], genesis: Genesis) -> str | None:
    assert isinstance(statement.body, Commit | Reveal)
    if statement.signer not in shard_of(genesis, statement.body.at):
        return "its signer is not in the shard"
    return None


def _by_validator(statement: Statement[Body], genesis: Genesis) -> str | None:
    assert isinstance(statement.body, Attestation | Dispute | Certificate)
    if statement.signer not in genesis.validators:
        return "its signer is no validator"
    return None


def _certificate(statement: Statement[Body], genesis: Genesis) -> str | None:
    assert isinstance(statement.body, Certificate)
    try:
        check_certificate(genesis, statement.body)
    except CertificateError as error:
        return str(error)
    return _by_validator(statement, genesis)


def _evidence(statement: Statement[Body], genesis: Genesis) -> str | None:
    assert isinstance(statement.body, Evidence)
    try:
        check_evidence(genesis, statement.body)
    except EvidenceError as error:
        return str(error)
    return None if statement.signer in genesis.validators else "its signer is no validator"


_RULES: dict[Kind, Callable[[Statement[Body], Genesis], str | None]] = {
    Kind.CHALLENGE: _challenge,
    Kind.COMMIT: _by_shard,
    Kind.LOCK: _lock,
    Kind.REVEAL: _by_shard,
    Kind.REPORT: _by_dealer,
    Kind.ATTESTATION: _by_validator,
    Kind.CERTIFICATE: _certificate,
    Kind.DISPUTE: _by_validator,
    Kind.EVIDENCE: _evidence,
}
