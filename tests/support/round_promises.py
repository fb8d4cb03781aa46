"""What the members of a shard-round promise, checked the moment an honest one says or does something."""

from __future__ import annotations

from protocol.evidence import Slot, vote_slot
from protocol.messages import Attestation, Body, Certificate, Challenge, Commit, Lock, Report, Reveal
from protocol.rounds import AttesterMachine, DealerMachine, EncoderMachine
from protocol.rounds.phases import ATTESTER_TABLE, DEALER_TABLE, ENCODER_TABLE, EncoderMove
from protocol.statement import Statement
from tests.support.epochs import audit_report, check_certificate
from tests.support.honest_round import honest_round

ROUND = honest_round()
GENESIS, AT = ROUND.genesis, ROUND.at
SHARD = len(ROUND.shard)
Machine = DealerMachine | AttesterMachine | EncoderMachine

ENTRIES_MAX: dict[type, int] = {
    DealerMachine: 16 * SHARD + 8,
    AttesterMachine: 3 * SHARD + 6,
    EncoderMachine: 6,
}
"""Entries of all tables of one machine: a few for each encoder and validator, whatever is sent."""


class Promises:
    """Everything that was ever said in one round, and what the honest among its members may not say."""

    def __init__(self) -> None:
        self.said: dict[bytes, Statement[Body]] = {}
        self.archive: dict[bytes, bytes] = {}
        """Everything that was ever provided, by digest."""
        self._slots: dict[Slot, Statement[Body]] = {}  # of the honest
        self._audited: set[bytes] = set()

    def note(self, statement: Statement[Body]) -> None:
        """Somebody, honest or not, has said this."""
        self.said[statement.digest] = statement

    def check(self, statement: Statement[Body], agreed: set[bytes]) -> None:
        """An honest member says this; `agreed` are the bodies of reports it has audited and recomputed."""
        slot = vote_slot(statement)
        if slot is not None:
            first = self._slots.setdefault(slot, statement)
            assert first.digest == statement.digest, f"a second {statement.kind.value} for one slot"
        match statement.body:
            case Certificate() as certificate:
                self.certificate(certificate)
            case Commit() as commit:
                self._commit(statement.signer, commit)
            case Lock() as lock:
                answered = [self.said[ref.commit].body for ref in lock.commits]
                assert all(isinstance(one, Commit) and one.lock == lock.previous for one in answered)
            case Reveal() as reveal:
                self._opened_by(statement.signer, reveal.lock, 3)
            case Attestation(_, name) if statement.signer != ROUND.dealer:
                report = self.said[name]
                assert isinstance(report.body, Report)
                assert report.body.body in agreed, "an attestation of what it has not recomputed"
                self._audit(report)  # type: ignore[arg-type]
            case Report():
                self._audit(statement)  # type: ignore[arg-type]

    def _audit(self, report: Statement[Report]) -> None:
        """What an honest dealer reports, and what an honest attester attests, holds. Raises AuditError."""
        if report.digest not in self._audited:
            audit_report(GENESIS, report, self.archive[report.body.body])
            self._audited.add(report.digest)

    def certificate(self, certificate: Certificate) -> None:
        """Two thirds have really said it, each by a statement of its own."""
        check_certificate(GENESIS, certificate)
        voted = {
            one.signer
            for one in self.said.values()
            if isinstance(one.body, Attestation) and one.body.report == certificate.report
        }
        assert {vote.validator for vote in certificate.attestations} <= voted

    def _commit(self, key: bytes, commit: Commit) -> None:
        if commit.wave == 1:
            assert isinstance(self.said[commit.lock].body, Challenge)
        else:
            self._opened_by(key, commit.lock, commit.wave - 1)

    def _opened_by(self, key: bytes, name: bytes, wave: int) -> None:
        """The lock of a wave lets an encoder go on: it follows what this one answered, and has its commit."""
        lock = self.said[name].body
        assert isinstance(lock, Lock), "it goes on without a lock"
        assert lock.wave == wave, "it goes on by the lock of another wave"
        own = next(
            one
            for slot, one in self._slots.items()
            if isinstance(one.body, Commit) and slot[2:] == (wave, key)
        )
        assert isinstance(own.body, Commit)
        assert lock.previous == own.body.lock, "the lock follows another history"
        assert own.digest in {ref.commit for ref in lock.commits}, "the lock is not over its commit"


def check_move(machine: Machine, before: object) -> None:
    """At most one move along the table for an event; only an encoder may open its next wave at once."""
    if machine.phase is before:
        return
    match machine:
        case DealerMachine():
            assert machine.phase in {to for (source, _), to in DEALER_TABLE.items() if source is before}
        case AttesterMachine():
            assert machine.phase in {to for (source, _), to in ATTESTER_TABLE.items() if source is before}
        case EncoderMachine():
            waves = {to for (source, move), to in ENCODER_TABLE.items() if (source, move) == (before, AGAIN)}
            assert machine.phase in {
                to for (source, _), to in ENCODER_TABLE.items() if source in {before, *waves}
            }


AGAIN = EncoderMove.NEXT_WAVE


def check_entries(machine: Machine) -> None:
    """Its tables stay within their bound."""
    held = sum(_entries(value) for name, value in vars(machine).items() if name not in ("genesis", "epoch"))
    assert held <= ENTRIES_MAX[type(machine)], f"{type(machine).__name__} remembers {held} things"


def _entries(value: object) -> int:
    match value:
        case dict():
            return len(value) + sum(map(_entries, value.values()))
        case set():
            return len(value)
        case tuple() if value and isinstance(value[0], dict):
            return sum(map(_entries, value))
    return 0
