"""How validators agree on the record of the next epoch: one proposal a slot, two votes, a certificate.

The rules are Tendermint's (Buchman, Kwon, Milosevic 2018, arXiv:1807.04938) with the clock in place of its
time-outs: a slot is a view, and ends when the next one begins. Who precommits to a record stays with it, and
leaves it only for one that a quorum was ready for in a later slot. So two records of one epoch can never both
be certified while less than a third of the stake is byzantine, however long messages take; and the first slot
in which messages arrive in time decides, if its proposer is honest and knows the newest record that an honest
validator stays with: each proposes the newest it knows, so at the latest the one that stays with it does.
"""

from __future__ import annotations

from protocol.certificates import quorum_of
from protocol.epochs.agreed import slot_place, votes_of
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
    Unavailable,
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
        # Kept beside the lock: whose store was lost has to catch up to the epoch that it is about.
        self._restored = lock
        self._forget_target()

    def _forget_target(self) -> None:
        self._members = self.epochs.newest
        self._target = self._members.number + 1
        restored = self._restored
        self._lock = restored if restored is not None and restored.epoch == self._target else None
        self._seen = self._lock  # the newest record a quorum was ready for whose inputs have a name here
        self._derived: dict[bytes, tuple[Epoch, bytes]] = {}  # record digest -> epoch, inputs
        self._prevotes: dict[tuple[int, bytes], dict[bytes, Statement[Prevote]]] = {}
        self._precommits: dict[tuple[int, bytes], dict[bytes, Statement[Precommit]]] = {}
        self._certificate: EpochCertificate | None = None
        self._named: dict[bytes, tuple[bytes, int]] = {}  # record digest -> inputs, size, of late proposals
        self._early: Statement[Proposal] | None = None  # of a slot that has begun elsewhere
        self._slot: ShardRound | None = None  # one vote a slot: the next target waits for the next
        self._forget_slot()

    def _forget_slot(self) -> None:
        self._phases = Phases(AgreementPhase.WAITING, AGREEMENT_TABLE)
        self._proposal: Proposal | None = None
        self._reading: dict[bytes, bytes] = {}  # inputs being checked: the proposal's, and of what is held

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
                return self._proposed(statement)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Prevote):
                return self._prevoted(statement, statement.body)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Precommit):
                return self._precommitted(statement, statement.body)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, EpochCertificate):
                return self._certified(statement.body)
            case Fetched(digest, data):
                return self._fetched(digest, data)
            case Unavailable(digest):
                return self._given_up(digest)
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
        if at.round < agreement_begins(self.epochs, self._target) or self.me not in self._members.validators:
            return []
        early, self._early = self._early, None
        effects = [*self._recall(), *self._speak()]
        return effects if early is None else [*effects, *self._proposed(early)]

    def _recall(self) -> list[Effect]:
        """Ask for what can be proposed again only once it was found right in this process."""
        lost = {one.inputs: one for one in self._held() if one.record not in self._derived}
        return [
            Fetch(one.inputs, one.inputs_bytes, tuple(vote.validator for vote in one.seen), Purpose.INPUTS)
            for one in lost.values()
        ]

    def _speak(self) -> list[Effect]:
        """As the proposer: the newest record a quorum was ready for, as some may stay with it; else anew."""
        if not self._is_proposer():
            return []
        for one in self._held():
            if one.record in self._derived:
                _, data = self._derived[one.record]
                return self._say(data, one.record, one.at.round, one.seen)
        return [] if self._held() else self._gather()

    def _gather(self) -> list[Effect]:
        return [GatherInputs(self._target)] if self._is_proposer() else []

    def _is_proposer(self) -> bool:
        """Whether this validator has a slot to propose in, and has not yet."""
        slot = self._slot
        if slot is None or slot.round < agreement_begins(self.epochs, self._target):
            return False
        if self._proposal is not None or self._certificate is not None:
            return False
        return proposer_of(self._members, slot.round) == self.me

    def _propose(self, data: bytes, epoch: Epoch) -> list[Effect]:
        if epoch.record.previous != self._members.digest or not self._is_proposer():
            return []
        self._derive(epoch, data)
        return self._say(data, epoch.digest, 0, ())

    def _say(
        self, data: bytes, record: bytes, seen_round: int, seen: tuple[AttestationRef, ...]
    ) -> list[Effect]:
        assert self._slot is not None
        name = content_digest(data)
        proposal = Proposal(self._slot, self._target, name, len(data), record, seen_round, seen)
        return [Provide(data, Purpose.INPUTS), Broadcast(proposal)]

    def _proposed(self, statement: Statement[Proposal]) -> list[Effect]:
        proposal = statement.body
        if proposal.epoch != self._target or self._certificate is not None:
            return []
        if proposal.at.round < agreement_begins(self.epochs, self._target):
            return []  # rounds it has to take up may still be certified
        # Also where this slot began without us: what a quorum was ready for there must not get lost.
        self._named[proposal.record] = (proposal.inputs, proposal.inputs_bytes)
        while len(self._named) > DERIVED_MAX:
            del self._named[next(iter(self._named))]
        if self._slot is None or proposal.at.round > self._slot.round:
            self._early = statement  # clocks differ, and nobody says it again
            return []
        if proposal.at != self._slot or self._proposal is not None:
            return []
        self._proposal = proposal
        if self.me not in self._members.validators:
            return []
        self._look_back(proposal)
        lock = self._lock
        if lock is not None and lock.record != proposal.record and proposal.seen_round <= lock.at.round:
            self._phases.move(AgreementMove.REFUSE)
            return []
        self._phases.move(AgreementMove.PROPOSAL)
        if proposal.record in self._derived:
            return self._ready(proposal)
        return [Fetch(proposal.inputs, proposal.inputs_bytes, (statement.signer,), Purpose.INPUTS)]

    def _look_back(self, proposal: Proposal) -> None:
        """Take up the prevotes a proposal shows, and those that came before it."""
        if proposal.seen:
            self._see(slot_place(self._members, proposal.seen_round), proposal.record, proposal.seen)
        votes = self._prevotes.get((proposal.at.round, proposal.record), {})
        if quorum_of(self._members, votes):
            self._see(proposal.at, proposal.record, votes_of(votes.values()))

    def _fetched(self, digest: bytes, data: bytes) -> list[Effect]:
        """Proposed inputs, or those of a record that was seen before; both may be the same."""
        held = [one for one in self._held() if one.inputs == digest]
        if not self._is_checking(digest) and all(one.record in self._derived for one in held):
            return []
        self._reading[digest] = data
        vouched = bool(held) or (self._proposal is not None and bool(self._proposal.seen))
        return [CheckInputs(self._target, data, vouched)]

    def _checked(self, digest: bytes, epoch: Epoch) -> list[Effect]:
        data = self._reading.pop(digest, None)
        if data is None or epoch.record.previous != self._members.digest:
            return []
        if any((one.inputs, one.record) == (digest, epoch.digest) for one in self._held()):
            self._derive(epoch, data)
        proposal = self._proposal
        if proposal is None or not self._is_checking(digest):
            return self._speak()
        if epoch.digest != proposal.record:
            return self._refused(digest, "another record follows from its inputs")
        self._derive(epoch, data)
        return self._ready(proposal)

    def _refused(self, digest: bytes, reason: str) -> list[Effect]:
        proposal = self._proposal
        if proposal is None or not self._is_checking(digest):
            return self._given_up(digest)
        self._phases.move(AgreementMove.REFUSE)
        return [Publish(proposal.at, Step.EPOCH_REFUSED, detail=f"epoch {proposal.epoch}: {reason}")]

    def _given_up(self, digest: bytes) -> list[Effect]:
        """What was seen cannot be had: propose anew, unless this validator stays with it."""
        is_lost = self._seen is not None and digest == self._seen.inputs
        return self._gather() if is_lost and self._lock is None else []

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
        self._see(at, record, votes_of(votes.values()))
        if self.phase is not AgreementPhase.READY or self._slot != at or record not in self._derived:
            return []
        self._phases.move(AgreementMove.STAY)
        _, data = self._derived[record]
        self._lock = EpochLocked(
            at, self._target, record, votes_of(votes.values()), content_digest(data), len(data)
        )
        return [Persist(self._lock), Broadcast(Precommit(at, self._target, record))]

    def _see(self, at: ShardRound, record: bytes, seen: tuple[AttestationRef, ...]) -> None:
        """Note that a quorum was ready for a record, if its inputs have a name: it can be proposed again."""
        if self._seen is not None and self._seen.at.round >= at.round:
            return
        named = self._inputs_of(record)
        if named is not None:
            self._seen = EpochLocked(at, self._target, record, seen, *named)

    def _inputs_of(self, record: bytes) -> tuple[bytes, int] | None:
        """Digest and size of the inputs of a record, as far as known."""
        if record in self._derived:
            _, data = self._derived[record]
            return content_digest(data), len(data)
        for one in self._held():
            if one.record == record:
                return one.inputs, one.inputs_bytes
        return self._named.get(record)

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

    def _held(self) -> list[EpochLocked]:
        """What may have to be proposed again, the newest first."""
        return [one for one in (self._seen, self._lock) if one is not None]

    def _derive(self, epoch: Epoch, data: bytes) -> None:
        self._derived[epoch.digest] = (epoch, data)
        held = {one.record for one in self._held()}
        while len(self._derived) > DERIVED_MAX:
            del self._derived[next(key for key in self._derived if key not in held)]

    def _is_checking(self, inputs: bytes) -> bool:
        proposal = self._proposal
        return proposal is not None and self.phase is AgreementPhase.CHECKING and inputs == proposal.inputs
