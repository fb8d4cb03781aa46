"""Validators that lie: what a hostile one can do with its own key, its own disk and its friends."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec

from node.sim.epochs import ToldEpoch
from node.sim.streams import stream
from node.sim.validator import SimValidator
from protocol.codec import decode, encode
from protocol.epochs.agreed import CertifiedRecord
from protocol.evidence import vote_slot
from protocol.genesis import Genesis
from protocol.gossip_rules import ROUNDS_KEPT
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
    Precommit,
    Prevote,
    Proposal,
    Report,
)
from protocol.report import BODY_BYTES_MAX, Deviation, ReportBody, ScoreTask, Term
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest

TWICE_AFTER_MS = 4_000
"""Long enough for some node to have crashed and come back."""


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


def _forged(record: CertifiedRecord) -> CertifiedRecord:
    data = bytearray(record.record)
    data[len(data) // 2] ^= 1
    return msgspec.structs.replace(record, record=bytes(data))


@dataclass
class Plot:
    """What the byzantine validators of one network share. Bounded by the rounds of a run."""

    members: frozenset[bytes]
    versions: dict[ShardRound, tuple[Statement[Body], Statement[Body]]] = field(default_factory=dict)
    """Two reports of one shard-round, for the one side and the other."""

    def side(self, genesis: Genesis, key: bytes) -> int:
        """Which of two stories a node is told: every other honest one, in key order."""
        honest = [other for other in genesis.validators if other not in self.members]
        keys = honest if key in genesis.validators else list(genesis.encoders)
        return keys.index(key) % 2 if key in keys else 0


class ByzantineValidator(SimValidator):
    """Lies as told, attests whatever its friends report, and signs what it likes."""

    def __init__(self, *args: Any, lies: frozenset[Lie], plot: Plot, seed: int) -> None:
        super().__init__(*args)
        self.lies = lies
        self._plot = plot
        self._draw: random.Random = stream(seed, f"byzantine {self.member.name}")
        self._attested: set[ShardRound] = set()  # bounded by the rounds of a run
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
            case fx.Broadcast(Attestation()) if at in self._plot.versions:
                pass  # told to each side as it suits
            case fx.Broadcast(body, handed_to) if Lie.EQUIVOCATE in self.lies:
                other = self._other(body)
                if other is None:
                    super().one(at, effect)
                else:
                    self._say_both(at, body, other, handed_to)
            case fx.Recompute():
                self.after(1, lambda: self.handle(at, ev.Recomputed((Deviation("score", b"", 0),))))
            case _:
                super().one(at, effect)

    def _say_both(self, at: ShardRound, body: Body, other: Body, handed_to: Sequence[bytes]) -> None:
        first, second = self.say(body), self.sign_anything(other)
        self._tell_sides(first, second)
        for key in handed_to:
            told = (first, second)[self._plot.side(self.genesis, key)]
            self.network.hand(self.key, key, told.data)
        self._own.append((at, ev.Received(first)))
        if isinstance(body, Report):
            self._plot.versions[at] = (first, second)
            self._attest_sides(at)
            self._tell_again(first, second)

    def _tell_again(self, first: Statement[Body], second: Statement[Body]) -> None:
        """The other way round: whoever has forgotten its vote may vote again."""
        self.after(TWICE_AFTER_MS, partial(self._tell_sides, second, first))

    def _tell_sides(self, first: Statement[Body], second: Statement[Body]) -> None:
        topic = self._topics.of(first.kind)
        assert topic is not None
        sides: tuple[list[bytes], list[bytes]] = ([], [])
        for key in self.network.peers:
            sides[self._plot.side(self.genesis, key)].append(key)
        for statement, keys in zip((first, second), sides, strict=True):
            self.network.gossip(self.key, statement.data, topic, iter(keys))

    def _attest_sides(self, at: ShardRound) -> None:
        """Each side hears that its own report is attested."""
        first, second = self._plot.versions[at]
        votes = (Attestation(at, first.digest), Attestation(at, second.digest))
        self._tell_sides(self.sign_anything(votes[0]), self.sign_anything(votes[1]))

    def _open(self, at: ShardRound) -> None:
        """A slot begins: tell the stories of the last rounds again."""
        super()._open(at)
        for told_at, (first, second) in list(self._plot.versions.items()):
            if at.round - ROUNDS_KEPT <= told_at.round < at.round and first.signer == self.key:
                self._tell_again(first, second)

    def _other(self, body: Body) -> Body | None:
        """Another body for the same slot that passes the gossip rules."""
        match body:
            case Challenge():
                if self._draw.randrange(5):
                    return None  # mostly it gets as far as two reports
                return msgspec.structs.replace(
                    body, secret_commitment=digest("sim-lie", body.secret_commitment)
                )
            case Lock() if len(body.commits) > self.genesis.parameters.encoders_min:
                if self._draw.randrange(8):
                    return None
                return msgspec.structs.replace(body, commits=body.commits[:-1])
            case Report():
                return self._other_report(body)
            case Attestation():
                return Attestation(body.at, digest("sim-lie", body.report))
            case Prevote() | Precommit() | Proposal():
                return msgspec.structs.replace(body, record=digest("sim-lie", body.record))
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
        name = content_digest(other)
        self.keep(name, other)
        return msgspec.structs.replace(report, body=name, body_bytes=len(other))

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
        """Attest a friend's two reports, each to those who got it."""
        statement = heard.judgement.statement
        if statement is None:
            return
        if isinstance(statement.body, Report) and statement.body.at in self._plot.versions:
            self._attest_once(statement.body.at)
        if Lie.FORGE in self.lies and vote_slot(statement) is not None and statement.signer != self.key:
            self._overheard = [*self._overheard, statement][-2:]
            if self._draw.randrange(12) == 0:
                self._forge(statement)

    def _attest_once(self, at: ShardRound) -> None:
        if at not in self._attested:
            self._attested.add(at)
            self._attest_sides(at)

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

    def tell_epochs(self, first: int) -> tuple[ToldEpoch, ...]:
        """A forger changes the seed of every record it serves."""
        told = super().tell_epochs(first)
        if Lie.FORGE not in self.lies:
            return told
        return tuple(one._replace(record=_forged(one.record)) for one in told)

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """A censor serves encoders and friends only."""
        if Lie.CENSOR in self.lies and to in self.genesis.validators and to not in self._plot.members:
            return None
        return super().serve(digest, to)
