"""Which statements a node accepts from others: one rule, one condition, one reason.

Rules run cheapest first: size and schema, topic, seen, round window, known signer, what only the kind knows,
then the signature, and behind it what costs more signatures still, so that nobody but a member can ask for
that. ACCEPT is handed to the machines and forwarded; IGNORE is neither forwarded nor held against anyone;
REJECT is what no honest node would have forwarded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from protocol.certificates import CertificateError, check_certificate
from protocol.epochs.agreed import EpochCertificateError, check_epoch_certificate, check_seen
from protocol.epochs.inputs import INPUTS_BYTES_MAX
from protocol.epochs.known import Epochs, UnknownEpochError
from protocol.epochs.registration import registration_fault
from protocol.epochs.stakes import consent_fault, transfer_fault, transfer_refusal
from protocol.epochs.view import Epoch
from protocol.evidence import (
    EvidenceError,
    Slot,
    check_evidence,
    false_certificate,
    members_epoch,
    vote_slot,
)
from protocol.genesis import VIEW_OVERHEAD_BYTES, Genesis, views_bounds
from protocol.messages import (
    WAVES,
    AboutEpoch,
    Attestation,
    Body,
    Certificate,
    Challenge,
    Commit,
    Dispute,
    EpochCertificate,
    Evidence,
    Exit,
    Kind,
    Lock,
    Proposal,
    Registration,
    Report,
    Reveal,
    StakeTransfer,
)
from protocol.report import BODY_BYTES_MAX
from protocol.schedule import (
    ShardRound,
    dealer_of,
    is_first_place,
    is_scheduled,
    proposer_of,
    round_at,
    shard_of,
    slot_start_ms,
)
from protocol.statement import Read, Statement, StatementError, parse, verify_signature
from protocol.verdict import Verdict

ROUNDS_KEPT = 3
"""Statements of older rounds are ignored: their rounds have expired."""
EVIDENCE_ROUNDS_KEPT = 16
"""What was found about a round may be on its way for longer. Bounds what one offender can make known."""
CLOCK_SKEW_MS = 2_000
"""A statement this much ahead of its slot still counts: honest clocks differ."""


_FOR_ALL = (Kind.CHALLENGE, Kind.LOCK, Kind.CERTIFICATE, Kind.EVIDENCE, Kind.EPOCH_CERTIFICATE)


class Topic:
    """Names of the gossip topics of one network."""

    def __init__(self, network_id: bytes) -> None:
        prefix = f"/deltamesh/{network_id.hex()[:16]}"
        self.rounds = f"{prefix}/rounds"
        """What encoders and validators need: challenges, locks, certificates of both kinds, evidence."""
        self.votes = f"{prefix}/votes"
        """What only validators need: commits, reports, attestations, disputes, registrations, exits,
        stake transfers, and what is said in agreeing on an epoch's record.
        """

    def of(self, kind: Kind) -> str | None:
        """The topic a kind travels on; None for kinds that travel over streams only."""
        if kind in _FOR_ALL:
            return self.rounds
        return None if kind is Kind.REVEAL else self.votes


class Judgement(NamedTuple):
    """What to do with the bytes, why, and the statement when it could be read and was signed."""

    verdict: Verdict
    reason: str
    statement: Statement[Body] | None = None
    evidence: Evidence | None = None
    """What the statement itself proves of its signer."""


class Gossip(NamedTuple):
    """What the rules need to know beside the bytes."""

    epochs: Epochs
    now_ms: int
    seen: Callable[[bytes], bool]
    """Whether a statement with this digest was accepted before."""
    first_in_slot: Callable[[tuple[object, ...]], Statement[Body] | None]
    """The statement accepted first for a slot of `known_slot`."""
    topic: str | None = None
    """Where it was gossiped; None for a stream, which carries every kind."""
    read: Read = parse


@lru_cache(maxsize=8)
def _topics(network_id: bytes) -> Topic:
    return Topic(network_id)


def known_slot(statement: Statement[Body], network_id: bytes) -> Slot | None:
    """Where the first statement is all that anyone needs to know; None for evidence that accuses nobody.

    The slot of a vote; of a dispute, registration, exit or transfer its author's place in the round; of a
    certificate what it certifies, and of evidence the offender and round, whoever says so. Without it one
    member could say endless true things.
    """
    body = statement.body
    match body:
        case Certificate():
            return (statement.kind, body.at, 0, body.report)
        case EpochCertificate():
            return (statement.kind, body.at, body.epoch, body.record)
        case Dispute() | Registration() | Exit() | StakeTransfer():
            return (statement.kind, body.at, 0, statement.signer)
        case Evidence():
            accused = accused_of(body, network_id)
            return None if accused is None else (statement.kind, accused[0], 0, accused[1])
    return vote_slot(statement)


def judge(data: bytes, gossip: Gossip) -> Judgement:
    """The verdict on one received envelope. Never raises, whatever the bytes are."""
    epochs, network_id = gossip.epochs, gossip.epochs.genesis.network_id
    try:
        statement = gossip.read(data, network_id)
    except StatementError as error:
        return Judgement(Verdict.REJECT, str(error))
    if gossip.topic is not None and gossip.topic != _topics(network_id).of(statement.kind):
        return Judgement(Verdict.REJECT, "it is gossiped on another topic than its kind's")
    if gossip.seen(statement.digest):
        return Judgement(Verdict.IGNORE, "seen before")
    slot = known_slot(statement, network_id)
    if slot is None:
        return Judgement(Verdict.REJECT, "it accuses nobody")
    window = _window(statement.kind, slot[1], gossip)
    if window is not None:
        return window
    epoch = _members(statement, slot[1], epochs)
    if epoch is None:
        return Judgement(Verdict.IGNORE, "the record of its epoch is not known here")
    if isinstance(statement.body, Registration):
        if any(state.public_key == statement.signer for state in epochs.newest.table.encoders):
            return Judgement(Verdict.IGNORE, "its signer is registered already")
        if epochs.newest.is_validating(statement.signer):
            return Judgement(Verdict.IGNORE, "its signer is a validator, or about to be one")
    elif not epoch.is_member(statement.signer):
        return Judgement(Verdict.REJECT, "its signer is no member of its epoch")
    reason = _RULES[statement.kind](statement, epoch)
    if reason is not None:
        return Judgement(Verdict.REJECT, reason)
    if isinstance(statement.body, StakeTransfer) and transfer_refusal(epochs.newest, statement) is not None:  # type: ignore[arg-type]
        return Judgement(Verdict.IGNORE, "the newest record here leaves no room for it")
    if not verify_signature(statement):
        return Judgement(Verdict.REJECT, "its signature is not its signer's")
    first = gossip.first_in_slot(slot)
    if first is not None and first.digest != statement.digest:
        # Who forwards a second vote may have seen only this one: its signer is to blame, through evidence.
        return Judgement(Verdict.IGNORE, "its slot is taken by another statement", statement)
    reason = _proof(statement.body, epochs, epoch)
    if reason is not None:
        proven = false_certificate(statement) if isinstance(statement.body, Certificate) else None  # type: ignore[arg-type]
        return Judgement(Verdict.REJECT, reason, evidence=proven)
    return Judgement(Verdict.ACCEPT, "", statement)


def _members(statement: Statement[Body], at: ShardRound, epochs: Epochs) -> Epoch | None:
    """The epoch whose members may say this."""
    if isinstance(statement.body, Registration):
        return epochs.newest
    if isinstance(statement.body, Evidence):
        return epochs.find(at.epoch)
    return epochs.find(members_epoch(statement.body))


def _window(kind: Kind, at: ShardRound, gossip: Gossip) -> Judgement | None:
    genesis = gossip.epochs.genesis
    if not is_scheduled(genesis, at):
        return Judgement(Verdict.REJECT, "no such shard-round in this network")
    if gossip.now_ms + CLOCK_SKEW_MS < slot_start_ms(genesis, at.round):
        return Judgement(Verdict.IGNORE, "its round has not begun")
    if at.round < round_at(genesis, gossip.now_ms) - rounds_kept(kind, genesis):
        return Judgement(Verdict.IGNORE, "its round is over")
    return None


def rounds_kept(kind: Kind, genesis: Genesis) -> int:
    """For how many rounds after its own a statement of this kind counts."""
    if kind is Kind.EVIDENCE:
        return EVIDENCE_ROUNDS_KEPT
    if kind in (Kind.REGISTRATION, Kind.EXIT, Kind.STAKE_TRANSFER):
        return 2 * genesis.parameters.epoch_rounds
    return ROUNDS_KEPT


def accused_of(evidence: Evidence, network_id: bytes) -> tuple[ShardRound, bytes] | None:
    """Round and key of the first statement; whether it convicts anybody is not yet known."""
    try:
        statement = parse(evidence.statements[0], network_id)
    except StatementError:
        return None
    body = statement.body
    return None if isinstance(body, Evidence) else (body.at, statement.signer)


def _proof(body: Body, epochs: Epochs, epoch: Epoch) -> str | None:
    """What is wrong with the signed statements inside this one."""
    try:
        match body:
            case Certificate():
                check_certificate(epoch, body)
            case EpochCertificate():
                check_epoch_certificate(epoch, body)
            case Proposal():
                check_seen(epoch, body)
            case Evidence():
                check_evidence(epochs, body)
            case StakeTransfer():
                return consent_fault(epochs.genesis.network_id, body)
    except (CertificateError, EpochCertificateError, EvidenceError, UnknownEpochError) as error:
        return str(error)
    return None


def _by_dealer(statement: Statement[Body], epoch: Epoch) -> str | None:
    assert isinstance(statement.body, Challenge | Lock | Report)
    if statement.signer != dealer_of(epoch, statement.body.at):
        return "its signer was not drawn to deal this shard"
    return None


def _challenge(statement: Statement[Body], epoch: Epoch) -> str | None:
    body = statement.body
    assert isinstance(body, Challenge)
    parameters = epoch.parameters
    deadlines = (body.wave_deadline_ms, body.reveal_deadline_ms)
    if deadlines != (parameters.wave_deadline_ms, parameters.reveal_deadline_ms):
        return "its deadlines are not the network's"
    for wave, sealed in zip(WAVES, body.waves, strict=True):
        fewest, most = views_bounds(parameters, wave)
        if not fewest <= sealed.views <= most:
            return f"its wave {wave} has more or fewer views than a batch of this network"
        if sealed.size_bytes > sealed.views * (epoch.genesis.modality.item_bytes_max + VIEW_OVERHEAD_BYTES):
            return f"its wave {wave} is larger than its views can be"
    return _by_dealer(statement, epoch)


def _lock(statement: Statement[Body], epoch: Epoch) -> str | None:
    body = statement.body
    assert isinstance(body, Lock)
    keys = [ref.encoder for ref in body.commits]
    if keys != sorted(set(keys)):
        return "its commits are not in order or doubled"
    if not set(keys) <= set(shard_of(epoch, body.at)):
        return "it locks a commit of a stranger to the shard"
    if len(keys) < epoch.parameters.encoders_min:
        return "it goes on with fewer encoders than a round needs"
    if len(body.next_wave_key) != (32 if body.wave < 3 else 0):
        return "it brings no key where one belongs, or one where none does"
    return _by_dealer(statement, epoch)


def _by_shard(statement: Statement[Body], epoch: Epoch) -> str | None:
    assert isinstance(statement.body, Commit | Reveal)
    if statement.signer not in shard_of(epoch, statement.body.at):
        return "its signer is not in the shard"
    return None


def _by_validator(statement: Statement[Body], epoch: Epoch) -> str | None:
    assert isinstance(statement.body, Attestation | Dispute | Certificate | AboutEpoch)
    if statement.signer not in epoch.validators:
        return "its signer is no validator"
    if isinstance(statement.body, AboutEpoch) and statement.body.at.shard != 0:
        return "it is not said in a slot's first shard"
    return None


def _report(statement: Statement[Body], epoch: Epoch) -> str | None:
    body = statement.body
    assert isinstance(body, Report)
    parameters = epoch.parameters
    if not parameters.scored_items <= body.items <= parameters.scored_items + parameters.served_items_max:
        return "it has more or fewer items than a batch of this network"
    if body.body_bytes > BODY_BYTES_MAX:
        return "its body is larger than any report"
    return _by_dealer(statement, epoch)


def _by_anyone(statement: Statement[Body], epoch: Epoch) -> str | None:
    # Encoders too catch a dealer at telling them other things than it tells the rest.
    return None


def _registration(statement: Statement[Body], epoch: Epoch) -> str | None:
    return registration_fault(epoch.genesis, statement)  # type: ignore[arg-type]


def _exit(statement: Statement[Body], epoch: Epoch) -> str | None:
    assert isinstance(statement.body, Exit)
    if not is_first_place(epoch.genesis, statement.body.at):
        return "it does not name the first shard-round of an epoch"
    if statement.signer not in epoch.encoders:
        return "its signer is no encoder"
    return None


def _stake_transfer(statement: Statement[Body], epoch: Epoch) -> str | None:
    return transfer_fault(epoch, statement)  # type: ignore[arg-type]


def _proposal(statement: Statement[Body], epoch: Epoch) -> str | None:
    body = statement.body
    assert isinstance(body, Proposal)
    if body.at.shard != 0:
        return "it is not said in a slot's first shard"
    if statement.signer not in epoch.validators:
        return "its signer is no validator"
    # Anyone may show what a quorum was ready for, and no more than that.
    if not body.seen and statement.signer != proposer_of(epoch, body.at.round):
        return "its signer was not drawn to propose"
    if body.inputs_bytes > INPUTS_BYTES_MAX:
        return "its inputs are larger than any"
    return None


_RULES: dict[Kind, Callable[[Statement[Body], Epoch], str | None]] = {
    Kind.CHALLENGE: _challenge,
    Kind.COMMIT: _by_shard,
    Kind.LOCK: _lock,
    Kind.REVEAL: _by_shard,
    Kind.REPORT: _report,
    Kind.ATTESTATION: _by_validator,
    Kind.CERTIFICATE: _by_validator,
    Kind.DISPUTE: _by_validator,
    Kind.EVIDENCE: _by_anyone,
    Kind.REGISTRATION: _registration,
    Kind.EXIT: _exit,
    Kind.STAKE_TRANSFER: _stake_transfer,
    Kind.PROPOSAL: _proposal,
    Kind.PREVOTE: _by_validator,
    Kind.PRECOMMIT: _by_validator,
    Kind.EPOCH_CERTIFICATE: _by_validator,
}
