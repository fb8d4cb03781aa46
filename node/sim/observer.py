"""Sees everything that happens in a simulation and checks, after every event, what must never be otherwise.

It knows what no node knows: who is honest, every disk, every blob. It uses none of the machines' own checks
where it can count for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from node.signer import VOTE_KINDS
from node.sim.vectors import StandInError, stand_in_comparison
from node.sim.world import World, served_text
from protocol.audit import AuditedReport, AuditError, audit_report
from protocol.codec import encode
from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch
from protocol.evidence import EvidenceError, Slot, check_evidence
from protocol.gossip_rules import ROUNDS_KEPT, accused_of
from protocol.hashing import content_digest
from protocol.hearing import SEEN_MAX, Heard
from protocol.messages import WAVES, Body, Certificate, Challenge, Evidence, Kind, Lock, Report, Reveal
from protocol.report import Deviation, ScoredShard, ScoreTask
from protocol.rounds import AttesterMachine
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound
from protocol.statement import Statement
from protocol.verdict import Verdict

if TYPE_CHECKING:
    from node.sim.process import SimProcess

ROUNDS_OPEN_MAX = 2 * (ROUNDS_KEPT + 2)
"""Rounds of which a node may have machines, each with all its shards."""
WEIGHT_SUM_TOLERANCE = 1e-9
NAMES_KEPT = 1_024


class Violation(Exception):  # noqa: N818 (says what it is)
    """An invariant does not hold: which, and how it was seen."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant
        self.detail = detail


class Observer:
    """The invariants of one simulation. Tables are bounded by its rounds and members."""

    def __init__(self, world: World, byzantine: frozenset[bytes]) -> None:
        self._world = world
        self._genesis = world.genesis
        self._open_max = ROUNDS_OPEN_MAX * world.genesis.parameters.shards_per_round
        self.epochs = Epochs(world.genesis)
        self._epochs_seen: dict[int, Epoch] = {}
        self._byzantine = byzantine
        self._names = {
            member.key: member.name
            for member in (*world.validators, *world.encoders, *world.newcomers, *world.joiners)
        }
        self._named: dict[bytes, str] = {}
        self._said: dict[Slot, bytes] = {}  # by honest members
        self._voted: dict[bytes, int] = {}  # highest round in which an honest key has voted
        self._closed: dict[bytes, int] = {}  # and of these, of its processes that have ended
        self._locks: set[bytes] = set()
        self._first: dict[tuple[bytes, Slot], bytes] = {}  # (listener, slot) -> digest
        self._accused: dict[bytes, set[tuple[ShardRound, bytes]]] = {}
        self._accepted: dict[bytes, set[bytes]] = {}
        self._reports: dict[bytes, Statement[Report]] = {}
        self._certified: dict[ShardRound, bytes] = {}
        self.submissions: set[bytes] = set()
        """Of users, that some validator has taken."""
        self.served: set[bytes] = set()
        """Of these, what is certified."""
        self._checked: set[bytes] = set()  # reports recomputed and found right
        self._archive: dict[bytes, bytes] = {}
        self.certified_by: dict[ShardRound, set[bytes]] = {}
        """Honest validators that know a round's certificate."""

    # -- names ---------------------------------------------------------------------------------------------

    def name_of(self, key: bytes) -> str:
        """A member's short name."""
        return self._names.get(key, key.hex()[:8])

    def is_honest(self, key: bytes) -> bool:
        """Whether a member follows the protocol."""
        return key not in self._byzantine

    def named(self, statement: Statement[Body]) -> str:
        """A statement as traces show it."""
        name = self._named.get(statement.digest)
        if name is None:
            name = self._named[statement.digest] = self._name(statement)
            while len(self._named) > NAMES_KEPT:
                del self._named[next(iter(self._named))]
        return name

    def _name(self, statement: Statement[Body]) -> str:
        body = statement.body
        digest = statement.digest.hex()[:6]
        if isinstance(body, Evidence):
            return f"evidence {digest}"
        wave = getattr(body, "wave", 0)
        return f"{statement.kind.value}{wave or ''} {body.at} by {self.name_of(statement.signer)} {digest}"

    # -- what is said --------------------------------------------------------------------------------------

    def said(self, node: SimProcess, statement: Statement[Body]) -> None:
        """A signature leaves a node."""
        body = statement.body
        if isinstance(body, Report):
            self._reports[statement.digest] = statement  # type: ignore[assignment]
        if isinstance(body, Lock):
            self._locks.add(statement.digest)
        if node.key in self._byzantine:
            return
        slot = _slot(statement)
        if slot is None:
            return
        is_new = slot not in self._said
        if self._said.setdefault(slot, statement.digest) != statement.digest:
            raise Violation("one vote a slot", f"{node.member.name} signs a second {self.named(statement)}")
        if node.disk.votes.get(slot) != statement.digest:
            raise Violation(
                "durable before said", f"{self.named(statement)} leaves before its vote is on the disk"
            )
        round_ = slot[1].round
        if is_new and round_ <= self._closed.get(node.key, -1):
            raise Violation(
                "earlier rounds are closed",
                f"{self.named(statement)}, though a process of {node.member.name} that has ended voted later",
            )
        self._voted[node.key] = max(round_, self._voted.get(node.key, -1))
        self._check_order(node, statement)

    def _check_order(self, node: SimProcess, statement: Statement[Body]) -> None:
        """Facts stand on the disk before what follows from them; nothing is revealed too early."""
        body = statement.body
        name = self.named(statement)
        if isinstance(body, Challenge) and not _has(node, fx.ReleasedItems, body.at):
            raise Violation("durable before said", f"{name} leaves before its items are marked released")
        if isinstance(body, Report) and not _has(node, fx.ReportMade, body.at):
            raise Violation("durable before said", f"{name} leaves before the report is on the disk")
        if isinstance(body, Reveal):
            commits = [(Kind.COMMIT, body.at, wave, node.key) for wave in WAVES]
            if not all(slot in self._said for slot in commits) or body.lock not in self._locks:
                raise Violation("no reveal without commit and lock", name)

    def submitted(self, item: bytes) -> None:
        """A user's item is on a validator's disk."""
        self.submissions.add(item)

    def provided(self, name: bytes, data: bytes) -> None:
        """Bytes that somebody can be asked for."""
        self._archive.setdefault(name, data)

    def restarted(self, node: SimProcess) -> None:
        """A process has begun: what the one before it heard is forgotten, where it voted is not."""
        self._closed[node.key] = self._voted.get(node.key, -1)
        self._accepted.pop(node.key, None)
        self._accused.pop(node.key, None)
        for place in [place for place in self._first if place[0] == node.key]:
            del self._first[place]

    # -- what is heard -------------------------------------------------------------------------------------

    def heard(self, node: SimProcess, heard: Heard) -> None:
        """A node has judged a statement."""
        if node.key in self._byzantine:
            return
        accused = self._accused.setdefault(node.key, set())
        if heard.evidence is not None:
            self._convicts_nobody_honest(heard.evidence)
            told = accused_of(heard.evidence, self._genesis.network_id)
            assert told is not None
            accused.add(told)
        statement = heard.judgement.statement
        if statement is None:
            return
        if heard.judgement.verdict is Verdict.ACCEPT:
            self._accept(node, statement)
        slot = _slot(statement)
        if slot is None:
            return
        first = self._first.setdefault((node.key, slot), statement.digest)
        if first == statement.digest:
            return
        if heard.judgement.verdict is Verdict.ACCEPT:
            raise Violation(
                "one statement a slot", f"{node.member.name} accepts two: {self.named(statement)}"
            )
        if (slot[1], statement.signer) not in accused:
            raise Violation(
                "equivocation yields evidence", f"{node.member.name} keeps quiet on {self.named(statement)}"
            )

    def _accept(self, node: SimProcess, statement: Statement[Body]) -> None:
        accepted = self._accepted.setdefault(node.key, set())
        if statement.digest in accepted:
            raise Violation(
                "every statement once", f"{node.member.name} accepts {self.named(statement)} again"
            )
        accepted.add(statement.digest)
        body = statement.body
        if isinstance(body, Evidence):
            self._convicts_nobody_honest(body)
        elif isinstance(body, Certificate):
            self._certificate(node, body)

    def _convicts_nobody_honest(self, evidence: Evidence) -> None:
        try:
            offender = check_evidence(self.epochs, evidence)
        except EvidenceError as error:
            raise Violation("evidence holds", str(error)) from error
        if offender not in self._byzantine:
            raise Violation("no evidence against the honest", self.name_of(offender))

    # -- what is certified ---------------------------------------------------------------------------------

    def _certificate(self, node: SimProcess, certificate: Certificate) -> None:
        """A certificate that an honest validator or encoder believes."""
        at, report = certificate.at, certificate.report
        self.certified_by.setdefault(at, set()).add(node.key)
        stakes = dict(self.epochs.of(at.epoch).validator_stakes)
        stake = sum(stakes[key] for key in {vote.validator for vote in certificate.attestations})
        if 3 * stake < 2 * sum(stakes.values()):
            raise Violation("two thirds certify", f"{stake} of {sum(stakes.values())} certified {at}")
        if self._certified.setdefault(at, report) != report:
            raise Violation("one certificate a shard-round", f"{at} has two reports certified")
        self._recompute(at, report)

    def _recompute(self, at: ShardRound, report: bytes) -> None:
        """Audit a certified report with all that was ever provided, and score it again."""
        header = self._reports.get(report)
        if report in self._checked or header is None:
            return
        self._checked.add(report)
        try:
            epoch = self.epochs.of(at.epoch)
            audited = audit_report(epoch, header, self._archive.get(header.body.body, b""))
            deviations = self.compare(audited.task, audited.body.scores)
        except (AuditError, StandInError) as error:
            raise Violation("certified scores recompute", f"{at}: {error}") from error
        worst = max(deviations, key=lambda deviation: deviation.difference_ppm)
        if worst.difference_ppm > self._genesis.parameters.tolerance_ppm:
            raise Violation(
                "certified scores recompute", f"{at}: {worst.term} lies {worst.difference_ppm} ppm away"
            )
        self._weights(at, audited)
        items = zip(audited.batch.items, audited.batch.scored, strict=True)
        served = {item for item, is_scored in items if not is_scored} - {served_text(at)}
        if not served <= self.submissions:
            raise Violation("only what was submitted is served", f"{at} has another item")
        self.served |= served

    def compare(self, task: ScoreTask, claimed: ScoredShard) -> tuple[Deviation, ...]:
        """How far what was certified lies from what follows from the answers. Raises StandInError."""
        return stand_in_comparison(task, self.archived, claimed)

    def archived(self, name: bytes) -> bytes | None:
        """Bytes that were ever provided."""
        return self._archive.get(name)

    def _weights(self, at: ShardRound, audited: AuditedReport) -> None:
        weights = np.frombuffer(audited.body.scores.weight, "<f8")
        if (weights < 0).any() or abs(float(weights.sum()) - 1) > WEIGHT_SUM_TOLERANCE:
            raise Violation("weights sum to one", f"{at}: {float(weights.sum())}")

    def persisted(self, node: SimProcess, fact: fx.Fact) -> None:
        """A fact is on a validator's disk."""
        if node.key in self._byzantine:
            return
        if isinstance(fact, fx.EpochDecided):
            self._epoch(node, fact.epoch)
            self._decided(fact)
        if not isinstance(fact, fx.RoundCertified):
            return
        self._certificate(node, fact.certificate)
        if content_digest(encode(fact.body)) != fact.header.body.body:
            raise Violation(
                "certified scores recompute", f"{node.member.name} kept another body of {fact.at}"
            )

    def _epoch(self, node: SimProcess, epoch: Epoch) -> None:
        """The record of an epoch stands for an honest node."""
        known = self._epochs_seen.setdefault(epoch.number, epoch)
        if known.digest != epoch.digest:
            raise Violation("one record an epoch", f"{node.member.name} has another of epoch {epoch.number}")
        if known is not epoch:
            return
        self._stake(self.epochs.of(epoch.number - 1), epoch)
        self.epochs.add(epoch)
        convicted = [state.public_key for state in epoch.record.validators if not state.stake]
        convicted += [state.public_key for state in epoch.table.encoders if not state.stake]
        for key in convicted:
            if key not in self._byzantine:
                raise Violation("no evidence against the honest", f"{self.name_of(key)} lost its stake")

    def _decided(self, fact: fx.EpochDecided) -> None:
        """The record of an epoch stands by the validators of the one before, whoever has joined since."""
        stakes = dict(self.epochs.of(fact.epoch.number - 1).validator_stakes)
        voters = {vote.validator for vote in fact.certificate.precommits}
        stake = sum(stakes.get(key, 0) for key in voters)
        if 3 * stake < 2 * sum(stakes.values()):
            raise Violation("two thirds decide", f"{stake} of {sum(stakes.values())} agreed on it")

    def _stake(self, before: Epoch, after: Epoch) -> None:
        """Stake moves and is lost by the guilty; none comes from nowhere, and none vanishes."""
        guilty = {key for key, state in after.states.items() if not state.stake}
        lost = sum(state.stake for key, state in before.states.items() if key in guilty)
        lost += sum(held.amount for held in before.record.transfers if held.giver in guilty)
        if _stake_in(after) != _stake_in(before) - lost:
            raise Violation("stake is conserved", f"epoch {after.number}: {_stake_in(after)}, lost {lost}")

    def handled(self, node: SimProcess, machine: object) -> None:
        """A machine has handled an event: it may have certified its round by itself."""
        if not isinstance(machine, AttesterMachine) or machine.certificate is None:
            return
        if node.key not in self._byzantine and node.key not in self.certified_by.get(machine.at, ()):
            self._certificate(node, machine.certificate)

    # -- after every event ---------------------------------------------------------------------------------

    def after_event(self, node: SimProcess) -> None:
        """Bounds."""
        if node.key in self._byzantine:
            return
        if len(node.machines) > self._open_max:
            raise Violation("bounded", f"{node.member.name} has {len(node.machines)} shard-rounds open")
        if node.hearing.entries_max > SEEN_MAX:
            raise Violation("bounded", f"{node.member.name} remembers {node.hearing.entries_max} statements")


def _stake_in(epoch: Epoch) -> int:
    """Of all validators, and on its way."""
    return sum(state.stake for state in epoch.states.values()) + sum(
        held.amount for held in epoch.record.transfers
    )


def _slot(statement: Statement[Body]) -> Slot | None:
    """Where a key may say one thing only: counted here, so that the machines' own rule can be wrong."""
    body = statement.body
    if isinstance(body, Evidence) or statement.kind not in VOTE_KINDS:
        return None
    return (statement.kind, body.at, getattr(body, "wave", 0), statement.signer)


def _has(node: SimProcess, kind: type[fx.ReleasedItems] | type[fx.ReportMade], at: ShardRound) -> bool:
    return any(isinstance(fact, kind) and fact.at == at for fact in node.disk.facts)
