"""How validators agree on the record of the next epoch: one proposal a slot, two votes, a certificate.

The rules are Tendermint's (Buchman, Kwon, Milosevic 2018, arXiv:1807.04938) with the clock in place of its
time-outs: a slot is a view, and ends when the next one begins. Who precommits to a record stays with it, and
leaves it only for one that a quorum was ready for in a later slot. So two records of one epoch can never both
be certified while less than a third of the stake is byzantine, however long messages take; and the first slot
in which messages arrive in time decides, if its proposer is honest and knows the newest record that an honest
validator stays with. Each proposes the newest it knows. Prevotes name the inputs, so that who sees a quorum
can fetch and propose what it was ready for; and who refuses a proposal because it stays with another record
shows that quorum. So of the slots in which messages arrive the second with an honest proposer decides.
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
        self._seen = self._lock  # the newest record a quorum was ready for
        self._derived: dict[bytes, tuple[Epoch, bytes]] = {}  # record digest -> epoch, inputs
        self._prevotes: dict[Prevote, dict[bytes, Statement[Prevote]]] = {}
        self._precommits: dict[tuple[int, bytes], dict[bytes, Statement[Precommit]]] = {}
        self._certificate: EpochCertificate | None = None
        self._early: Statement[Proposal] | None = None  # of a slot that has begun elsewhere
        self._slot: ShardRound | None = None  # one vote a slot: the next target waits for the next
        self._forget_slot()

    def _forget_slot(self) -> None:
        self._phases = Phases(AgreementPhase.WAITING, AGREEMENT_TABLE)
        self._proposal: Proposal | None = None
        self._has_proposed = False  # its own proposal comes back to it as any other does
        self._reading: dict[bytes, bytes] = {}  # inputs being checked: the proposal's, and of what is held
        self._shown_round = 0  # the newest quorum shown in this slot, by anyone

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
        for said in [said for said in self._prevotes if said.at.round <= at.round - SLOTS_COUNTED]:
            del self._prevotes[said]
        for place in [place for place in self._precommits if place[0] <= at.round - SLOTS_COUNTED]:
            del self._precommits[place]
        if at.round < agreement_begins(self.epochs, self._target) or self.me not in self._members.validators:
            return []
        early, self._early = self._early, None
        if early is not None and early.body.at.round < at.round:
            # Its slot never began here. What it shows has to be known before anything is proposed.
            self._look_back(early.body)
            early = None
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
        if self._has_proposed or self._proposal is not None or self._certificate is not None:
            return False
        return proposer_of(self._members, slot.round) == self.me

    def _propose(self, data: bytes, epoch: Epoch) -> list[Effect]:
        if epoch.record.previous != self._members.digest or not self._is_proposer():
            return []
        if self._held():
            return self._speak()  # shown meanwhile: nobody who stays with it would take anything else
        self._derive(epoch, data)
        return self._say(data, epoch.digest, 0, ())

    def _say(
        self, data: bytes, record: bytes, seen_round: int, seen: tuple[AttestationRef, ...]
    ) -> list[Effect]:
        assert self._slot is not None
        self._has_proposed = True
        name = content_digest(data)
        proposal = Proposal(self._slot, self._target, name, len(data), record, seen_round, seen)
        return [Provide(data, Purpose.INPUTS), Broadcast(proposal)]

    def _object(self, slot: ShardRound, lock: EpochLocked) -> list[Effect]:
        """Refuse what is proposed, and show why unless somebody has: the next proposer has to know of it."""
        self._phases.move(AgreementMove.REFUSE)
        if self._shown_round >= lock.at.round:
            return []
        told = (lock.inputs, lock.inputs_bytes, lock.record, lock.at.round, lock.seen)
        return [Broadcast(Proposal(slot, self._target, *told))]

    def _proposed(self, statement: Statement[Proposal]) -> list[Effect]:
        proposal = statement.body
        if proposal.epoch != self._target or self._certificate is not None:
            return []
        if proposal.at.round < agreement_begins(self.epochs, self._target):
            return []  # rounds it has to take up may still be certified
        is_proposer = statement.signer == proposer_of(self._members, proposal.at.round)
        if is_proposer and (self._slot is None or proposal.at.round > self._slot.round):
            self._early = statement  # clocks differ, and nobody says it again
            return []
        if not is_proposer or proposal.at != self._slot:
            return self._shown(proposal)
        if self._proposal is not None:
            return []
        self._proposal = proposal
        if self.me not in self._members.validators:
            return []
        self._look_back(proposal)
        lock = self._lock
        if lock is not None and lock.record != proposal.record and proposal.seen_round <= lock.at.round:
            return self._object(proposal.at, lock)
        self._phases.move(AgreementMove.PROPOSAL)
        if proposal.record in self._derived and self._is_named_by(proposal, *self._derived[proposal.record]):
            return self._ready(proposal)
        return [Fetch(proposal.inputs, proposal.inputs_bytes, (statement.signer,), Purpose.INPUTS)]

    def _shown(self, proposal: Proposal) -> list[Effect]:
        """Somebody stays with a record: fetch its inputs, to propose it in one's own slot."""
        if self.me not in self._members.validators or not self._look_back(proposal):
            return []
        return self._recall() or self._speak()

    def _look_back(self, proposal: Proposal) -> bool:
        """Take up the prevotes a proposal shows; whether they are of a later slot than any known here."""
        if proposal.at == self._slot:
            self._shown_round = max(self._shown_round, proposal.seen_round)
        at = slot_place(self._members, proposal.seen_round)
        return bool(proposal.seen) and self._see(_said_of(proposal, at), proposal.seen)

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
        if not self._is_named_by(proposal, epoch, data):
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
        prevote = _said_of(proposal, proposal.at)
        return [Broadcast(prevote), *self._stay(prevote)]

    def _prevoted(self, statement: Statement[Prevote], prevote: Prevote) -> list[Effect]:
        if prevote.epoch != self._target or self._certificate is not None:
            return []
        self._prevotes.setdefault(prevote, {}).setdefault(statement.signer, statement)
        return self._stay(prevote)

    def _stay(self, said: Prevote) -> list[Effect]:
        """Precommit to a record that a quorum of this slot is ready for, once it was found right here."""
        votes = self._prevotes.get(said, {})
        if not quorum_of(self._members, votes):
            return []
        at, record, seen = said.at, said.record, votes_of(votes.values())
        self._see(said, seen)
        if self.phase is not AgreementPhase.READY or self._slot != at or record not in self._derived:
            return []
        self._phases.move(AgreementMove.STAY)
        self._lock = EpochLocked(at, self._target, record, seen, said.inputs, said.inputs_bytes)
        return [Persist(self._lock), Broadcast(Precommit(at, self._target, record))]

    def _see(self, said: Prevote, seen: tuple[AttestationRef, ...]) -> bool:
        """Note that a quorum was ready for a record: it can be proposed again. Whether that is news."""
        if self._seen is not None and self._seen.at.round >= said.at.round:
            return False
        self._seen = EpochLocked(said.at, self._target, said.record, seen, said.inputs, said.inputs_bytes)
        return True

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

    @staticmethod
    def _is_named_by(proposal: Proposal, epoch: Epoch, data: bytes) -> bool:
        """Whether a proposal names record and inputs as they are: others fetch by what is prevoted for."""
        named = (proposal.record, proposal.inputs, proposal.inputs_bytes)
        return named == (epoch.digest, epoch.record.inputs, len(data))

    def _is_checking(self, inputs: bytes) -> bool:
        proposal = self._proposal
        return proposal is not None and self.phase is AgreementPhase.CHECKING and inputs == proposal.inputs


def _said_of(proposal: Proposal, at: ShardRound) -> Prevote:
    """What a validator says that was ready for what is proposed here in the slot `at`."""
    return Prevote(at, proposal.epoch, proposal.record, proposal.inputs, proposal.inputs_bytes)
