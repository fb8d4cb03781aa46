"""Gathering and checking what a record is computed from. Pure: what is certified here is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from protocol.codec import CodecError, decode
from protocol.epochs.horizon import EVIDENCE_EPOCHS
from protocol.epochs.inputs import (
    EVIDENCE_BYTES_MAX,
    INPUTS_BYTES_MAX,
    REGISTRATIONS_BYTES_MAX,
    REGISTRATIONS_MAX,
    CertifiedRef,
    EpochInputs,
)
from protocol.epochs.known import Epochs, UnknownEpochError
from protocol.epochs.learnt import Learn, LearntError, learn_nothing
from protocol.epochs.outcome import RoundOutcome
from protocol.epochs.record import EVIDENCE_MAX
from protocol.epochs.registration import registration_fault
from protocol.epochs.stakes import consent_fault, fitting, transfer_fault, transfer_refusal
from protocol.epochs.transition import next_epoch
from protocol.epochs.view import Epoch
from protocol.evidence import EvidenceError, accused_epoch, check_evidence
from protocol.hashing import digest
from protocol.messages import Body, Evidence, Exit, Registration, StakeTransfer
from protocol.statement import Statement, StatementError, expect

B = TypeVar("B", bound=Body)


class InputsError(ValueError):
    """Inputs that do not hold, or that cannot be checked here now; the message is safe to log."""


@dataclass(frozen=True, slots=True)
class CertifiedOutcome:
    """A certified shard-round as a validator keeps it."""

    report: bytes
    outcome: RoundOutcome


@dataclass(frozen=True, slots=True)
class Known:
    """What a validator knows that may enter the next record."""

    rounds: Sequence[CertifiedOutcome]
    """Of the epoch before the one before, in order."""
    registrations: Iterable[Statement[Registration]] = ()
    exits: Iterable[Statement[Exit]] = ()
    evidence: Iterable[Statement[Evidence]] = ()
    transfers: Iterable[Statement[StakeTransfer]] = ()


def gather_inputs(epochs: Epochs, known: Known, learn: Learn = learn_nothing) -> tuple[EpochInputs, Epoch]:
    """The inputs of the next epoch from all that is known here, and the epoch that follows from them.

    Raises LearntError when the vectors of a round, or what was learnt before, are not here.
    """
    members = epochs.newest
    inputs = EpochInputs(
        epoch=members.number + 1,
        rounds=tuple(CertifiedRef(one.outcome.at, one.report) for one in known.rounds),
        registrations=_by_signer(
            one for one in known.registrations if registration_refusal(members, one) is None
        ),
        exits=_by_signer(one for one in known.exits if _exit_refusal(members, one) is None),
        transfers=_transfers(epochs, known.transfers),
        evidence=_by_offender(epochs, known.evidence),
    )
    outcomes = [one.outcome for one in known.rounds]
    return inputs, next_epoch(members, epochs, inputs, outcomes, learn(inputs.rounds))


def check_inputs(
    epochs: Epochs,
    data: bytes,
    certified: Sequence[CertifiedOutcome],
    learn: Learn = learn_nothing,
    *,
    heard: Iterable[Statement[Evidence]] = (),
    vouched: bool = False,
) -> Epoch:
    """The epoch after the newest, from proposed inputs. `certified`, in order, are rounds it has to take up.

    Raises InputsError when anything in them does not hold, when they name a round that is not certified here,
    and when they leave out one that is: an omission would choose the seed and the reputations; or evidence,
    of what was `heard`, against somebody whose stake would arrive elsewhere with this record. Not so when
    they are `vouched` for by a quorum that was ready for them: a certificate somebody held back and shows
    later must not turn honest validators against what others of them are locked on.
    """
    members = epochs.newest
    try:
        inputs = decode(data, EpochInputs, size_bytes_max=INPUTS_BYTES_MAX)
    except CodecError as error:
        raise InputsError(str(error)) from None
    if inputs.epoch != members.number + 1:
        raise InputsError(f"they are for epoch {inputs.epoch}, and {members.number + 1} is next")
    _check_rounds(inputs, certified, vouched)
    registered = _read(epochs, inputs.registrations, Registration)
    for registration in registered:
        _refuse(registration_refusal(members, registration))
    for leaving in _read(epochs, inputs.exits, Exit):
        _refuse(_exit_refusal(members, leaving))
    for transfer in _read(epochs, inputs.transfers, StakeTransfer):
        _refuse(_transfer_refusal(epochs, transfer))
    if _transfers(epochs, _read(epochs, inputs.transfers, StakeTransfer)) != inputs.transfers:
        raise InputsError("their transfers are more than a record has room for")
    offenders = _check_evidence(epochs, inputs)
    if not vouched:
        _check_nobody_spared(epochs, inputs, heard, offenders)
    named = {ref.at for ref in inputs.rounds}
    outcomes = [one.outcome for one in certified if one.outcome.at in named]
    try:
        learnt = learn(inputs.rounds)
    except LearntError as error:
        raise InputsError(str(error)) from None
    return next_epoch(members, epochs, inputs, outcomes, learnt)


def registration_refusal(members: Epoch, statement: Statement[Registration]) -> str | None:
    """Why a registration does not enter the next record; None when it does."""
    if any(state.public_key == statement.signer for state in members.table.encoders):
        return "a registered key registers again"
    if members.is_validating(statement.signer):
        return "its signer is a validator, or about to be one"
    return registration_fault(members.genesis, statement) or _age_refusal(members, statement.body.at.epoch)


def _exit_refusal(members: Epoch, statement: Statement[Exit]) -> str | None:
    if statement.signer not in members.encoders:
        return "an exit by a key that is no encoder"
    return _age_refusal(members, statement.body.at.epoch)


def _transfer_refusal(epochs: Epochs, statement: Statement[StakeTransfer]) -> str | None:
    members = epochs.newest
    age = _age_refusal(members, statement.body.at.epoch)
    made_in = epochs.find(statement.body.at.epoch)
    if age is not None or made_in is None:
        return age or "a transfer of an epoch that is not known here"
    return (
        transfer_fault(made_in, statement)
        or transfer_refusal(members, statement)
        or consent_fault(members.network_id, statement.body)
    )


def _transfers(epochs: Epochs, statements: Iterable[Statement[StakeTransfer]]) -> tuple[bytes, ...]:
    first: dict[bytes, Statement[StakeTransfer]] = {}
    for statement in statements:
        if _transfer_refusal(epochs, statement) is None:
            first.setdefault(statement.signer, statement)
    # Where there is no room for all, by lot: by key, some could crowd others out for ever.
    seed = epochs.newest.seed
    by_lot = sorted(first.values(), key=lambda one: digest("transfer-lot", seed, one.signer))
    taken = sorted(fitting(epochs.newest, by_lot), key=lambda one: one.signer)
    return tuple(statement.data for statement in taken)


def _age_refusal(members: Epoch, epoch: int) -> str | None:
    # The next record is agreed on during the epoch of `members`.
    if members.number - 1 <= epoch <= members.number:
        return None
    return "a registration, exit or transfer is out of date"


def _check_rounds(inputs: EpochInputs, certified: Sequence[CertifiedOutcome], vouched: bool) -> None:
    ours = {one.outcome.at: one.report for one in certified}
    theirs = {ref.at: ref.report for ref in inputs.rounds}
    if [ref.at for ref in inputs.rounds] != sorted(theirs):
        raise InputsError("their rounds are not in order or doubled")
    for at, report in theirs.items():
        if ours.get(at) != report:
            raise InputsError(f"round {at} is not certified here, or with another report")
    left_out = ours.keys() - theirs.keys()
    if left_out and not vouched:
        raise InputsError(f"they leave out round {min(left_out)}, which is certified")


def _read(epochs: Epochs, envelopes: Sequence[bytes], kind: type[B]) -> list[Statement[B]]:
    try:
        statements = [expect(data, epochs.genesis.network_id, kind) for data in envelopes]
    except StatementError as error:
        raise InputsError(str(error)) from None
    signers = [statement.signer for statement in statements]
    if signers != sorted(set(signers)):
        raise InputsError("their statements are not in the order of the signers, or one signed twice")
    return statements


def _check_nobody_spared(
    epochs: Epochs, inputs: EpochInputs, heard: Iterable[Statement[Evidence]], offenders: list[bytes]
) -> None:
    """Refuse inputs by which stake would escape that is to be lost, while there is room for the evidence."""
    givers = {held.giver for held in epochs.newest.record.transfers} - set(offenders)
    room_bytes = EVIDENCE_BYTES_MAX - sum(len(data) for data in inputs.evidence)
    if not givers or len(inputs.evidence) == EVIDENCE_MAX:
        return
    for one in heard:
        try:
            spared = _convicted(epochs, one.body)
        except (EvidenceError, UnknownEpochError):
            continue
        if spared in givers and len(one.data) <= room_bytes:
            raise InputsError(f"they leave out evidence against {spared.hex()[:8]}, whose stake would escape")


def _check_evidence(epochs: Epochs, inputs: EpochInputs) -> list[bytes]:
    offenders = []
    for data in inputs.evidence:
        try:
            evidence = expect(data, epochs.genesis.network_id, Evidence)
            offenders.append(_convicted(epochs, evidence.body))
        except (StatementError, EvidenceError, UnknownEpochError) as error:
            raise InputsError(f"evidence that does not hold: {error}") from None
    if offenders != sorted(set(offenders)):
        raise InputsError("their evidence is not in the order of the offenders, or convicts one twice")
    innocent = [key for key in offenders if not epochs.newest.is_member(key)]
    if innocent:
        raise InputsError(f"{innocent[0].hex()[:8]} has no stake that evidence could take")
    return offenders


def _convicted(epochs: Epochs, evidence: Evidence) -> bytes:
    """Whom evidence convicts in the next record. Raises EvidenceError, UnknownEpochError."""
    if accused_epoch(epochs.genesis.network_id, evidence) < epochs.newest.number - EVIDENCE_EPOCHS:
        raise EvidenceError(f"it is about an epoch more than {EVIDENCE_EPOCHS} before the newest")
    return check_evidence(epochs, evidence)


def _by_signer(statements: Iterable[Statement[Body]]) -> tuple[bytes, ...]:
    # The first of each signer; whoever of them is left out may register again.
    first: dict[bytes, bytes] = {}
    for statement in statements:
        first.setdefault(statement.signer, statement.data)
    return _fitting(first, REGISTRATIONS_MAX, REGISTRATIONS_BYTES_MAX)


def _by_offender(epochs: Epochs, statements: Iterable[Statement[Evidence]]) -> tuple[bytes, ...]:
    found: dict[bytes, bytes] = {}
    for statement in statements:
        try:
            offender = _convicted(epochs, statement.body)
        except (EvidenceError, UnknownEpochError):
            continue
        if epochs.newest.is_member(offender):
            found.setdefault(offender, statement.data)
    return _fitting(found, EVIDENCE_MAX, EVIDENCE_BYTES_MAX)


def _fitting(found: dict[bytes, bytes], count_max: int, bytes_max: int) -> tuple[bytes, ...]:
    """Statements in key order, as many as there is room for."""
    # Their authors choose how large they are: they must not make inputs that nobody accepts.
    taken: list[bytes] = []
    for key in sorted(found):
        if len(taken) < count_max and len(found[key]) <= bytes_max:
            taken.append(found[key])
            bytes_max -= len(found[key])
    return tuple(taken)


def _refuse(reason: str | None) -> None:
    if reason is not None:
        raise InputsError(reason)
