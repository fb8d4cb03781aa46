"""An attester of one shard-round: audit the report, vote, and know when it is certified."""

from __future__ import annotations

from protocol.audit import Audit, AuditedReport, AuditError, audit_report
from protocol.batch import PPM
from protocol.certificates import make_certificate
from protocol.codec import CodecError, decode
from protocol.commitments import ANSWER_BYTES
from protocol.epochs.view import Epoch
from protocol.messages import Attestation, Certificate, Dispute, Report
from protocol.quorum import has_quorum
from protocol.report import BODY_BYTES_MAX, Deviation, ReportBody
from protocol.rounds.effects import (
    Broadcast,
    Effect,
    Fetch,
    Persist,
    Publish,
    Purpose,
    Recompute,
    RoundCertified,
    RoundVoid,
    SetTimer,
    Step,
)
from protocol.rounds.events import (
    Event,
    Fetched,
    Received,
    Recomputed,
    ScoringFailed,
    TimerFired,
    Unavailable,
)
from protocol.rounds.phases import ATTESTER_TABLE, AttesterMove, AttesterPhase, Phases
from protocol.schedule import ShardRound, dealer_of, slot_start_ms
from protocol.statement import Statement

EXPIRY_SLOTS = 3
"""A round is over this many slots after its own began: what is not certified by then is void."""
ANNOUNCE_AFTER_MS = 2_000
"""How long others leave it to the dealer to gossip the certificate."""


class AttesterMachine:
    """One shard-round as a validator that attests lives it. Votes are bounded by the number of validators."""

    def __init__(self, epoch: Epoch, at: ShardRound, me: bytes, audit: Audit = audit_report) -> None:
        self.epoch = epoch
        self.at = at
        self.me = me
        self._audit = audit
        self._phases = Phases(AttesterPhase.WAITING, ATTESTER_TABLE)
        self._dealer = dealer_of(epoch, at)
        self._header: Statement[Report] | None = None
        self._body: ReportBody | None = None
        self._items: tuple[bytes, ...] = ()
        self._audited: AuditedReport | None = None
        self._awaited: dict[bytes, int] = {}  # digest -> size_bytes of what is on its way
        self._votes: dict[bytes, Statement[Attestation]] = {}
        self._stakes: dict[bytes, int] = {}  # report -> stake of its votes
        self._certificate: Certificate | None = None
        self._announced = False
        self._recorded = False

    @property
    def phase(self) -> AttesterPhase:
        """What this attester thinks."""
        return self._phases.current

    @property
    def certificate(self) -> Certificate | None:
        """The round's certificate, once there is one."""
        return self._certificate

    def start(self) -> list[Effect]:
        """Effects of being created: the time this round is given."""
        return [SetTimer("expiry", slot_start_ms(self.epoch.genesis, self.at.round + EXPIRY_SLOTS))]

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """The effects of one event; events that do not concern the current phase have none."""
        match event:
            case Received(statement) if isinstance(statement.body, Report):
                return self._report(statement, statement.body)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Attestation):
                return self._vote(statement, now_ms)  # type: ignore[arg-type]
            case Received(statement) if isinstance(statement.body, Certificate):
                self._announced = True
                return self._certify(statement.body, now_ms)
            case Fetched(digest, data) if digest in self._awaited:
                return self._fetched(digest, data)
            case Unavailable(digest, _) if digest in self._awaited:
                del self._awaited[digest]
                return self._disagree(AuditError("availability", "nobody has what the report names"))
            case Recomputed(deviations) if self.phase is AttesterPhase.RECOMPUTING:
                return self._judge(deviations)
            case ScoringFailed(reason) if self.phase is AttesterPhase.RECOMPUTING:
                self._phases.move(AttesterMove.EXPIRE)  # our own failure is no opinion on the report
                return [Publish(self.at, Step.VOID, detail=reason)]
            case TimerFired("announce") if self._certificate is not None and not self._announced:
                return [Broadcast(self._certificate)] if self.me in self.epoch.validators else []
            case TimerFired("expiry"):
                return self._expire()
        return []

    # -- audit ---------------------------------------------------------------------------------------------

    def _report(self, statement: Statement[Report], report: Report) -> list[Effect]:
        if self._header is not None or statement.signer != self._dealer:
            return []
        self._header = statement
        if not self._phases.can(AttesterMove.REPORT):
            return []
        # One's own report needs no audit, but its body and items go the same way as everyone's.
        own = self._dealer == self.me
        self._phases.move(AttesterMove.OWN_REPORT if own else AttesterMove.REPORT)
        self._awaited[report.body] = report.body_bytes
        sources = (self._dealer, *(key for key in sorted(self._votes) if key != self._dealer))
        fetch = Fetch(report.body, report.body_bytes, sources, Purpose.REPORT)
        return [fetch, *self._agree()] if own else [fetch]

    def _fetched(self, digest: bytes, data: bytes) -> list[Effect]:
        assert self._header is not None
        size_bytes = self._awaited.pop(digest)
        if len(data) != size_bytes:
            return self._disagree(AuditError("availability", "what the report names has another size"))
        if digest != self._header.body.body:
            return self._recompute_if_complete()
        try:
            audited = self._audit(self.epoch, self._header, data)
        except AuditError as error:
            return [*self._keep(data, ()), *self._disagree(error)]
        self._audited = audited
        effects = self._keep(data, audited.batch.items)
        if self.phase is not AttesterPhase.FETCHING:
            return effects
        sources: dict[bytes, list[bytes]] = {}
        for encoder, answers in zip(audited.task.encoders, audited.task.answers, strict=True):
            for name, views in zip(answers or (), audited.batch.waves, strict=False):
                self._awaited[name] = len(views) * ANSWER_BYTES
                sources.setdefault(name, []).append(encoder)
        # The encoders first: their own bytes, and the dealer has everybody else to serve.
        fetches = (
            Fetch(name, self._awaited[name], (*encoders, self._dealer), Purpose.REVEAL)
            for name, encoders in sources.items()
        )
        return [*effects, *fetches]

    def _recompute_if_complete(self) -> list[Effect]:
        if self._awaited or self._audited is None or self.phase is not AttesterPhase.FETCHING:
            return []
        self._phases.move(AttesterMove.COMPLETE)
        return [Recompute(self._audited.task, self._audited.body.scores)]

    def _judge(self, deviations: tuple[Deviation, ...]) -> list[Effect]:
        tolerance_ppm = self.epoch.parameters.tolerance_ppm
        worst = max(deviations, key=lambda deviation: deviation.difference_ppm, default=None)
        if worst is not None and worst.difference_ppm > tolerance_ppm:
            detail = (
                f"recomputed, it lies {worst.difference_ppm / PPM:.6f} away; tolerance {tolerance_ppm / PPM}"
            )
            return self._disagree(AuditError(worst.term, detail, worst.encoder), worst.difference_ppm)
        self._phases.move(AttesterMove.AGREE)
        return self._agree()

    def _agree(self) -> list[Effect]:
        assert self._header is not None
        if self.me not in self.epoch.validators:
            return []  # convicted: it goes on keeping what is certified, and nobody counts its vote
        return [Broadcast(Attestation(self.at, self._header.digest)), Publish(self.at, Step.ATTESTED)]

    def _disagree(self, error: AuditError, difference_ppm: int = 0) -> list[Effect]:
        if not self._phases.can(AttesterMove.DISAGREE):
            return []
        assert self._header is not None
        self._phases.move(AttesterMove.DISAGREE)
        if self.me not in self.epoch.validators:
            return [Publish(self.at, Step.DISPUTED, detail=str(error))]
        dispute = Dispute(
            self.at, self._header.digest, error.term, error.encoder, difference_ppm, error.detail[:400]
        )
        return [Broadcast(dispute), Publish(self.at, Step.DISPUTED, detail=str(error))]

    # -- certification -------------------------------------------------------------------------------------

    def _vote(self, statement: Statement[Attestation], now_ms: int) -> list[Effect]:
        if statement.signer not in self.epoch.validators:
            return []
        if statement.signer in self._votes:
            return []
        report = statement.body.report
        self._votes[statement.signer] = statement
        self._stakes[report] = self._stakes.get(report, 0) + self.epoch.validators[statement.signer].stake
        if self._certificate is not None or not has_quorum(self._stakes[report], self.epoch.total_stake):
            return []
        votes = [vote for vote in self._votes.values() if vote.body.report == report]
        certificate = make_certificate(self.at, report, votes)
        certified = self._certify(certificate, now_ms)
        if self._dealer == self.me:
            return [*certified, Broadcast(certificate)]
        return [*certified, SetTimer("announce", now_ms + ANNOUNCE_AFTER_MS)]

    def _certify(self, certificate: Certificate, now_ms: int) -> list[Effect]:
        if self._certificate is not None:
            return []
        self._certificate = certificate
        elapsed_ms = now_ms - slot_start_ms(self.epoch.genesis, self.at.round)
        signers = tuple(vote.validator for vote in certificate.attestations)
        return [*self._record(), Publish(self.at, Step.CERTIFIED, 0, elapsed_ms, signers)]

    def _keep(self, data: bytes, items: tuple[bytes, ...]) -> list[Effect]:
        try:
            self._body = decode(data, ReportBody, size_bytes_max=BODY_BYTES_MAX)
        except CodecError:
            return []
        self._items = items
        return self._record()

    def _record(self) -> list[Effect]:
        """The certified round, once header, certificate and body are all here and belong together."""
        if self._header is None or self._certificate is None or self._body is None or self._recorded:
            return []
        if self._certificate.report != self._header.digest:
            return []
        self._recorded = True
        fact = RoundCertified(self.at, self._header, self._certificate, self._body, self._items)
        return [Persist(fact)]

    def _expire(self) -> list[Effect]:
        effects: list[Effect] = []
        if self._phases.can(AttesterMove.EXPIRE):
            self._phases.move(AttesterMove.EXPIRE)
        if self._certificate is None:
            reason = "not certified in time" if self._header is not None else "no report"
            effects = [Persist(RoundVoid(self.at, reason)), Publish(self.at, Step.VOID, detail=reason)]
        return effects
