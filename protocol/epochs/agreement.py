"""How validators agree on the record of the next epoch: one proposal a slot, two votes, a certificate.

The rules are Tendermint's (Buchman, Kwon, Milosevic 2018, arXiv:1807.04938) with the clock in place of its
time-outs: a slot is a view, and ends when the next one begins. Who precommits to a record stays with it, and
leaves it only for one that a quorum was ready for in a later slot. So two records of one epoch can never both
be certified while less than a third of the stake is byzantine, however long messages take; and the first slot
with an honest proposer in which messages arrive in time decides.
"""

from __future__ import annotations

from protocol.certificates import quorum_of
from protocol.epochs.agreed import votes_of
from protocol.epochs.known import Epochs
from protocol.epochs.phases import AGREEMENT_TABLE, AgreementMove, AgreementPhase
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.messages import AttestationRef, EpochCertificate, Precommit, Prevote, Proposal
from protocol.rounds.effects import (
    Broadcast,
    CheckInputs,
    Effect,
    EpochDecided,
    EpochLocked,
    Fetch,
    GatherInputs,
    Persist,
    Provide,
    Publish,
    Purpose,
    Step,
)
from protocol.rounds.events import (
    Event,
    Fetched,
    InputsChecked,
    InputsGathered,
    InputsRefused,
    Received,
    SlotBegan,
)
from protocol.rounds.phases import Phases
from protocol.schedule import ShardRound, proposer_of
from protocol.statement import Statement

SETTLED_ROUNDS = 3
"""Rounds after the end of an epoch until none of its rounds can be certified any more."""
SLOTS_COUNTED = 4
"""Votes of older slots are forgotten."""
DERIVED_MAX = 8
"""Records of one epoch that were found to follow from their inputs."""


def agreement_begins(epochs: Epochs, epoch: int) -> int:
    """The first round in which the record of `epoch` can be agreed on.

    It takes up the rounds of the epoch before the one before, which have all ended by then.
    """
    return (epoch - 1) * epochs.genesis.parameters.epoch_rounds + SETTLED_ROUNDS


class AgreementMachine:
    """A validator that agrees with the others on one record after the other.

    One machine for the life of a node; `lock` is what it had persisted last. Bounded by the validators.
    """

    def __init__(self, epochs: Epochs, me: bytes, lock: EpochLocked | None = None) -> None:
        self.epochs = epochs
        self.me = me
        self._lock = lock
        self._slot: ShardRound | None = None
        self._forget_target()

    def _forget_target(self) -> None:
        self._members = self.epochs.newest
        self._target = self._members.number + 1
        if self._lock is not None and self._lock.epoch != self._target:
            self._lock = None
        self._seen = self._lock  # the newest record a quorum was ready for
        self._derived: dict[bytes, tuple[Epoch, bytes]] = {}  # record digest -> epoch, inputs
        self._prevotes: dict[tuple[int, bytes], dict[bytes, Statement[Prevote]]] = {}
        self._precommits: dict[tuple[int, bytes], dict[bytes, Statement[Precommit]]] = {}
        self._certificate: EpochCertificate | None = None
        self._forget_slot()

    def _forget_slot(self) -> None:
        self._phases = Phases(AgreementPhase.WAITING, AGREEMENT_TABLE)
        self._proposal: Proposal | None = None
        self._inputs = b""  # of the proposal

    @property
    def phase(self) -> AgreementPhase:
        """Where this slot is."""
        return self._phases.current

    @property
    def lock(self) -> EpochLocked | None:
        """The record this validator stays with, if any."""
        return self._lock

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """The effects of one event; events that do not concern the current slot have none."""
        if self.epochs.newest is not self._members:
            self._forget_target()  # decided by others, and caught up with
        match event:
            case SlotBegan(at):
                return self._begin(at)
            case Received(statement) if isinstance(statement.body, Proposal):
                return self._proposed(statement.body, statement.signer)
            case Received(statement) if isinstance(statement.body, Prevote):
                return self._prevoted(statement, statement.body)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Precommit):
                return self._precommitted(statement, statement.body)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, EpochCertificate):
                return self._certified(statement.body)
            case Fetched(digest, data) if self._proposal is not None and digest == self._proposal.inputs:
                return self._check(data)
            case InputsGathered(data, epoch):
                return self._propose(data, epoch)
            case InputsChecked(digest, epoch):
                return self._checked(digest, epoch)
            case InputsRefused(digest, reason):
                return self._refused(digest, reason)
        return []

    # -- a slot --------------------------------------------------------------------------------------------

    def _begin(self, at: ShardRound) -> list[Effect]:
        self._slot = at
        self._forget_slot()
        for votes in (self._prevotes, self._precommits):
            for key in [key for key in votes if key[0] <= at.round - SLOTS_COUNTED]:
                del votes[key]
        if at.round < agreement_begins(self.epochs, self._target):
            return []
        if self.me not in self._members.validators or proposer_of(self._members, at.round) != self.me:
            return []
        seen = self._seen
        if seen is not None and seen.record in self._derived:
            # A quorum was ready for this one, and some may be locked on it: no other can pass.
            _, data = self._derived[seen.record]
            return self._say(at, data, seen.record, seen.at.round, seen.seen)
        return [GatherInputs(self._target)]

    def _propose(self, data: bytes, epoch: Epoch) -> list[Effect]:
        if self._slot is None or epoch.record.previous != self._members.digest:
            return []
        if self._proposal is not None or proposer_of(self._members, self._slot.round) != self.me:
            return []
        self._derive(epoch, data)
        return self._say(self._slot, data, epoch.digest, 0, ())

    def _say(
        self, at: ShardRound, data: bytes, record: bytes, seen_round: int, seen: tuple[AttestationRef, ...]
    ) -> list[Effect]:
        proposal = Proposal(at, self._target, content_digest(data), len(data), record, seen_round, seen)
        return [Provide(data, Purpose.INPUTS), Broadcast(proposal)]

    def _proposed(self, proposal: Proposal, proposer: bytes) -> list[Effect]:
        if not self._is_now(proposal) or self._proposal is not None:
            return []
        self._proposal = proposal
        if self.me not in self._members.validators:
            return []
        lock = self._lock
        if lock is not None and lock.record != proposal.record and proposal.seen_round <= lock.at.round:
            self._phases.move(AgreementMove.REFUSE)
            return []
        self._phases.move(AgreementMove.PROPOSAL)
        if proposal.record in self._derived:
            return self._ready(proposal)
        fetch = Fetch(proposal.inputs, proposal.inputs_bytes, (proposer,), Purpose.INPUTS)
        return [fetch]

    def _check(self, data: bytes) -> list[Effect]:
        if self.phase is not AgreementPhase.CHECKING:
            return []
        self._inputs = data
        return [CheckInputs(self._target, data)]

    def _checked(self, digest: bytes, epoch: Epoch) -> list[Effect]:
        proposal = self._proposal
        if self.phase is not AgreementPhase.CHECKING or proposal is None or digest != proposal.inputs:
            return []
        if epoch.record.previous != self._members.digest:
            return []
        if epoch.digest != proposal.record:
            return self._refused(digest, "another record follows from its inputs")
        self._derive(epoch, self._inputs)
        return self._ready(proposal)

    def _refused(self, digest: bytes, reason: str) -> list[Effect]:
        proposal = self._proposal
        if self.phase is not AgreementPhase.CHECKING or proposal is None or digest != proposal.inputs:
            return []
        self._phases.move(AgreementMove.REFUSE)
        return [Publish(proposal.at, Step.EPOCH_REFUSED, detail=f"epoch {proposal.epoch}: {reason}")]

    # -- votes ---------------------------------------------------------------------------------------------

    def _ready(self, proposal: Proposal) -> list[Effect]:
        self._phases.move(AgreementMove.READY)
        votes = self._prevotes.get((proposal.at.round, proposal.record), {})
        prevote = Prevote(proposal.at, proposal.epoch, proposal.record)
        return [Broadcast(prevote), *self._stay(proposal.at, proposal.record, votes)]

    def _prevoted(self, statement: Statement[Prevote], prevote: Prevote) -> list[Effect]:
        if prevote.epoch != self._target or self._certificate is not None:
            return []
        votes = self._prevotes.setdefault((prevote.at.round, prevote.record), {})
        votes.setdefault(statement.signer, statement)
        return self._stay(prevote.at, prevote.record, votes)

    def _stay(self, at: ShardRound, record: bytes, votes: dict[bytes, Statement[Prevote]]) -> list[Effect]:
        """Precommit to a record that a quorum of this slot is ready for, once it was found right here."""
        if not quorum_of(self._members, votes):
            return []
        seen = EpochLocked(at, self._target, record, votes_of(votes.values()))
        if self._seen is None or self._seen.at.round < at.round:
            self._seen = seen
        if self.phase is not AgreementPhase.READY or self._slot != at or record not in self._derived:
            return []
        self._phases.move(AgreementMove.STAY)
        self._lock = seen
        return [Persist(seen), Broadcast(Precommit(at, self._target, record))]

    def _precommitted(self, statement: Statement[Precommit], precommit: Precommit) -> list[Effect]:
        if precommit.epoch != self._target or self._certificate is not None:
            return []
        at, record = precommit.at, precommit.record
        votes = self._precommits.setdefault((at.round, record), {})
        votes.setdefault(statement.signer, statement)
        if not quorum_of(self._members, votes):
            return []
        certificate = EpochCertificate(at, self._target, record, votes_of(votes.values()))
        decided = self._certified(certificate)
        return [*decided, Broadcast(certificate)] if decided else decided

    def _certified(self, certificate: EpochCertificate) -> list[Effect]:
        """The decision, once the record it names was derived here; else it is caught up with."""
        if certificate.epoch != self._target or certificate.record not in self._derived:
            return []
        self._certificate = certificate
        epoch, _ = self._derived[certificate.record]
        signers = tuple(vote.validator for vote in certificate.precommits)
        return [
            Persist(EpochDecided(epoch, certificate)),
            Publish(certificate.at, Step.EPOCH_DECIDED, answered=signers, detail=f"epoch {epoch.number}"),
        ]

    # -- what is known -------------------------------------------------------------------------------------

    def _derive(self, epoch: Epoch, data: bytes) -> None:
        self._derived[epoch.digest] = (epoch, data)
        held = {one.record for one in (self._lock, self._seen) if one is not None}
        while len(self._derived) > DERIVED_MAX:
            del self._derived[next(key for key in self._derived if key not in held)]

    def _is_now(self, proposal: Proposal) -> bool:
        return proposal.epoch == self._target and proposal.at == self._slot and self._certificate is None
