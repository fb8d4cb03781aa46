"""Which statements a node accepts from others: one rule, one condition, one reason.

Rules run cheapest first: size and schema, known signer, round window, seen, what only the kind knows, then
the signature, and behind it what costs more signatures still, so that nobody but a member can ask for that.
ACCEPT is handed to the machines and forwarded; IGNORE is neither forwarded nor held against anyone; REJECT
is what no honest node would have forwarded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from protocol.certificates import CertificateError, check_certificate
from protocol.evidence import EvidenceError, Slot, check_evidence, vote_slot
from protocol.genesis import VIEW_OVERHEAD_BYTES, Genesis, views_bounds
from protocol.items import ITEM_BYTES_MAX
from protocol.messages import (
    WAVES,
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
from protocol.report import BODY_BYTES_MAX
from protocol.schedule import ShardRound, dealer_of, is_scheduled, round_at, shard_of, slot_start_ms
from protocol.statement import Statement, StatementError, parse, verify_signature
from protocol.verdict import Verdict

ROUNDS_KEPT = 3
"""Statements of older rounds are ignored: their rounds have expired."""
EVIDENCE_ROUNDS_KEPT = 16
"""What was found about a round may be on its way for longer. Bounds what one offender can make known."""
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
    """The statement accepted first for a slot of `known_slot`."""
    topic: str | None = None
    """Where it was gossiped; None for a stream, which carries every kind."""


def known_slot(statement: Statement[Body], network_id: bytes) -> Slot | None:
    """Where the first statement is all that anyone needs to know; None for evidence that accuses nobody.

    The slot of a vote; of a dispute its author's place in the round; of a certificate the report, and of
    evidence the offender and round, whoever says so. Without it one member could say endless true things.
    """
    body = statement.body
    match body:
        case Certificate():
            return (statement.kind, body.at, 0, body.report)
        case Dispute():
            return (statement.kind, body.at, 0, statement.signer)
        case Evidence():
            accused = _accused(body, network_id)
            return None if accused is None else (statement.kind, accused[0], 0, accused[1])
    return vote_slot(statement)


def judge(data: bytes, gossip: Gossip) -> Judgement:
    """The verdict on one received envelope. Never raises, whatever the bytes are."""
    genesis = gossip.genesis
    try:
        statement = parse(data, genesis.network_id)
    except StatementError as error:
        return Judgement(Verdict.REJECT, str(error))
    if not genesis.is_member(statement.signer):
        return Judgement(Verdict.REJECT, "its signer is no member of this network")
    if gossip.topic is not None and gossip.topic != Topic(genesis.network_id).of(statement.kind):
        return Judgement(Verdict.REJECT, "it is gossiped on another topic than its kind's")
    slot = known_slot(statement, genesis.network_id)
    if slot is None:
        return Judgement(Verdict.REJECT, "it accuses nobody")
    window = _window(statement.kind, slot[1], gossip)
    if window is not None:
        return window
    if gossip.seen(statement.digest):
        return Judgement(Verdict.IGNORE, "seen before")
    reason = _RULES[statement.kind](statement, genesis)
    if reason is not None:
        return Judgement(Verdict.REJECT, reason)
    if not verify_signature(statement):
        return Judgement(Verdict.REJECT, "its signature is not its signer's")
    first = gossip.first_in_slot(slot)
    if first is not None and first.digest != statement.digest:
        # Who forwards a second vote may have seen only this one: its signer is to blame, through evidence.
        return Judgement(Verdict.IGNORE, "its slot is taken by another statement", statement)
    reason = _proof(statement.body, genesis)
    if reason is not None:
        return Judgement(Verdict.REJECT, reason)
    return Judgement(Verdict.ACCEPT, "", statement)


def _window(kind: Kind, at: ShardRound, gossip: Gossip) -> Judgement | None:
    if not is_scheduled(gossip.genesis, at):
        return Judgement(Verdict.REJECT, "no such shard-round in this network")
    if gossip.now_ms + CLOCK_SKEW_MS < slot_start_ms(gossip.genesis, at.round):
        return Judgement(Verdict.IGNORE, "its round has not begun")
    rounds_kept = EVIDENCE_ROUNDS_KEPT if kind is Kind.EVIDENCE else ROUNDS_KEPT
    if at.round < round_at(gossip.genesis, gossip.now_ms) - rounds_kept:
        return Judgement(Verdict.IGNORE, "its round is over")
    return None


def _accused(evidence: Evidence, network_id: bytes) -> tuple[ShardRound, bytes] | None:
    """Round and key of the first statement; whether it convicts anybody is not yet known."""
    try:
        statement = parse(evidence.statements[0], network_id)
    except StatementError:
        return None
    body = statement.body
    return None if isinstance(body, Evidence) else (body.at, statement.signer)


def _proof(body: Body, genesis: Genesis) -> str | None:
    """What is wrong with the signed statements inside this one."""
    try:
        if isinstance(body, Certificate):
            check_certificate(genesis, body)
        elif isinstance(body, Evidence):
            check_evidence(genesis, body)
    except (CertificateError, EvidenceError) as error:
        return str(error)
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
    for wave, sealed in zip(WAVES, body.waves, strict=True):
        fewest, most = views_bounds(parameters, wave)
        if not fewest <= sealed.views <= most:
            return f"its wave {wave} has more or fewer views than a batch of this network"
        if sealed.size_bytes > sealed.views * (ITEM_BYTES_MAX + VIEW_OVERHEAD_BYTES):
            return f"its wave {wave} is larger than its views can be"
    return _by_dealer(statement, genesis)


def _lock(statement: Statement[Body], genesis: Genesis) -> str | None:
    body = statement.body
    assert isinstance(body, Lock)
    keys = [ref.encoder for ref in body.commits]
    if keys != sorted(set(keys)):
        return "its commits are not in order or doubled"
    if not set(keys) <= set(shard_of(genesis, body.at)):
        return "it locks a commit of a stranger to the shard"
    if len(keys) < genesis.parameters.encoders_min:
        return "it goes on with fewer encoders than a round needs"
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


def _report(statement: Statement[Body], genesis: Genesis) -> str | None:
    body = statement.body
    assert isinstance(body, Report)
    parameters = genesis.parameters
    if not parameters.scored_items <= body.items <= parameters.scored_items + parameters.served_items_max:
        return "it has more or fewer items than a batch of this network"
    if body.body_bytes > BODY_BYTES_MAX:
        return "its body is larger than any report"
    return _by_dealer(statement, genesis)


def _by_anyone(statement: Statement[Body], genesis: Genesis) -> str | None:
    # Encoders too catch a dealer at telling them other things than it tells the rest.
    return None


_RULES: dict[Kind, Callable[[Statement[Body], Genesis], str | None]] = {
    Kind.CHALLENGE: _challenge,
    Kind.COMMIT: _by_shard,
    Kind.LOCK: _lock,
    Kind.REVEAL: _by_shard,
    Kind.REPORT: _report,
    Kind.ATTESTATION: _by_validator,
    Kind.CERTIFICATE: _by_validator,
    Kind.DISPUTE: _by_validator,
    Kind.EVIDENCE: _by_anyone,
}
