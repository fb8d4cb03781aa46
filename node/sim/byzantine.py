"""Validators that lie: what a hostile one can do with its own key, its own disk and its friends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from node.sim.streams import stream
from node.sim.validator import SimValidator
from protocol.codec import decode, encode
from protocol.evidence import vote_slot
from protocol.hashing import content_digest, digest
from protocol.hearing import Heard
from protocol.messages import (
    Attestation,
    AttestationRef,
    Body,
    Certificate,
    Challenge,
    Commit,
    Evidence,
    Lock,
    Offence,
    Report,
)
from protocol.report import BODY_BYTES_MAX, Deviation, ReportBody, ScoreTask, Term
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest


class Lie(StrEnum):
    """What a byzantine validator does."""

    EQUIVOCATE = "equivocate"
    """Two challenges, locks, reports and attestations for one slot, one to each half of the network."""
    CENSOR = "censor"
    """Loses the commits of half the encoders, forwards nothing, serves nothing to the other validators."""
    FALSE_SCORES = "false-scores"
    """As dealer it gives one encoder all the weight."""
    WITHHOLD = "withhold"
    """As dealer it never reports: it keeps its chain's preimage to itself."""
    FORGE = "forge"
    """Certificates without a quorum, evidence against the honest, bytes that are no statement."""


class ByzantineValidator(SimValidator):
    """Lies as told, attests whatever its friends report, and signs what it likes."""

    def __init__(self, *args: Any, lies: frozenset[Lie], friends: frozenset[bytes], seed: int) -> None:
        super().__init__(*args)
        self.lies = lies
        self._friends = friends
        self._draw: random.Random = stream(seed, f"byzantine {self.member.name}")
        self._overheard: list[Statement[Body]] = []  # at most two, to misuse as evidence

    def sign_anything(self, body: Body) -> Statement[Body]:
        """A statement under no rule but the signature's."""
        name = statement_digest(self.genesis.network_id, self.key, body)
        statement = assemble(self.genesis.network_id, self.key, body, sign(self.member.seed, name))
        self.observer.said(self, statement)
        self.note(f"says {self.observer.named(statement)}")
        return statement

    def say(self, body: Body) -> Statement[Body]:
        """No signer is asked."""
        statement = self.sign_anything(body)
        self.hearing.remember(statement)
        return statement

    # -- what it says --------------------------------------------------------------------------------------

    def one(self, at: ShardRound, effect: fx.Effect) -> None:
        """Carry out an effect, or something else in its place."""
        match effect:
            case fx.Broadcast(Report()) if Lie.WITHHOLD in self.lies:
                self.note(f"withholds its report of {at}")
            case fx.Broadcast(body, handed_to) if Lie.EQUIVOCATE in self.lies:
                other = self._other(body)
                super().one(at, effect) if other is None else self._say_both(at, body, other, handed_to)
            case fx.Recompute():
                self.after(1, lambda: self.handle(at, ev.Recomputed((Deviation("score", b"", 0),))))
            case _:
                super().one(at, effect)

    def _say_both(self, at: ShardRound, body: Body, other: Body, handed_to: Sequence[bytes]) -> None:
        first, second = self.say(body), self.sign_anything(other)
        topic = self._topics.of(first.kind)
        assert topic is not None
        keys = [key for key in self.network.peers if key != self.key]
        told_first = set(self._draw.sample(keys, len(keys) // 2))
        self.network.gossip(self.key, first.data, topic, iter([k for k in keys if k in told_first]))
        self.network.gossip(self.key, second.data, topic, iter([k for k in keys if k not in told_first]))
        for key in handed_to:
            self.network.hand(self.key, key, (first if key in told_first else second).data)
        self._own.append((at, ev.Received(first)))
        for statement in (first, second):
            if isinstance(statement.body, Report):
                self._attest(at, statement.digest)

    def _other(self, body: Body) -> Body | None:
        """Another body for the same slot that passes the gossip rules."""
        match body:
            case Challenge():
                if self._draw.randrange(2):
                    return None  # half the time it gets as far as two reports
                return msgspec.structs.replace(
                    body, secret_commitment=digest("sim-lie", body.secret_commitment)
                )
            case Lock() if len(body.commits) > self.genesis.parameters.encoders_min:
                if self._draw.randrange(4):
                    return None
                return msgspec.structs.replace(body, commits=body.commits[:-1])
            case Report():
                return self._other_report(body)
            case Attestation():
                return Attestation(body.at, digest("sim-lie", body.report))
        return None

    def _other_report(self, report: Report) -> Report:
        """The same report but for a term that is off by less than the tolerance: both would be attested."""
        data = self.blob(report.body)
        assert data is not None
        body = decode(data, ReportBody, size_bytes_max=BODY_BYTES_MAX)
        first, *rest = body.scores.terms
        values = bytearray(first.values)
        values[0] ^= 1
        scores = msgspec.structs.replace(body.scores, terms=(Term(first.name, bytes(values)), *rest))
        other = encode(msgspec.structs.replace(body, scores=scores))
        self.keep(other)
        return msgspec.structs.replace(report, body=content_digest(other), body_bytes=len(other))

    def _attest(self, at: ShardRound, report: bytes) -> None:
        self.gossip(self.sign_anything(Attestation(at, report)))

    def scored(self, task: ScoreTask) -> ev.Event:
        """The scores, or what it would like them to be."""
        event = super().scored(task)
        if Lie.FALSE_SCORES not in self.lies or not isinstance(event, ev.Scored):
            return event
        scores = event.scores
        all_to_one = msgspec.structs.replace(
            scores, weight=b"\0\0\0\0\0\0\xf0\x3f" + bytes(len(scores.weight) - 8)
        )
        return ev.Scored(all_to_one)

    # -- what it hears -------------------------------------------------------------------------------------

    def heard(self, heard: Heard) -> None:
        """Attest every report of a friend, also the second for one slot."""
        statement = heard.judgement.statement
        if statement is None:
            return
        if isinstance(statement.body, Report) and statement.signer in self._friends:
            self._attest(statement.body.at, statement.digest)
        if Lie.FORGE in self.lies and vote_slot(statement) is not None and statement.signer != self.key:
            self._overheard = [*self._overheard, statement][-2:]
            if self._draw.randrange(12) == 0:
                self._forge(statement)

    def _forge(self, statement: Statement[Body]) -> None:
        assert not isinstance(statement.body, Evidence)
        report = digest("sim-lie", statement.digest)
        vote = self.sign_anything(Attestation(statement.body.at, report))
        alone = Certificate(statement.body.at, report, (AttestationRef(self.key, vote.signature),))
        self.gossip(self.sign_anything(alone))
        if len(self._overheard) == 2:
            first, second = sorted(self._overheard, key=lambda one: one.digest)
            self.gossip(self.sign_anything(Evidence(Offence.EQUIVOCATION, (first.data, second.data))))
        broken = bytearray(statement.data)
        broken[self._draw.randrange(len(broken))] ^= 1 << self._draw.randrange(8)
        self.network.gossip(self.key, bytes(broken), self._topics.rounds)

    def accepted(self, statement: Statement[Body]) -> None:
        """A censoring dealer loses the commits of half the encoders."""
        censored = Lie.CENSOR in self.lies and isinstance(statement.body, Commit)
        if not (censored and statement.signer[0] % 2):
            super().accepted(statement)

    def accuse(self, evidence: Evidence) -> None:
        """It tells on strangers only."""
        if Lie.CENSOR not in self.lies:
            super().accuse(evidence)

    def forward(self, statement: Statement[Body], topic: str) -> None:
        """A censor forwards nothing."""
        if Lie.CENSOR not in self.lies:
            super().forward(statement, topic)

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """A censor serves encoders and friends only."""
        if Lie.CENSOR in self.lies and to in self.genesis.validators and to not in self._friends:
            return None
        return super().serve(digest, to)
