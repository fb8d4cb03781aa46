"""One shard-round that is still open: machines of all its members, and whatever is on its way between them.

Nothing happens by itself. Who holds it decides what arrives, when, in which order, how often and whether at
all; every statement passes the receiver's own memory and gossip rules first. Liars have machines too, but
also sign whatever they are told to, and nothing they say is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from protocol.codec import decode
from protocol.hashing import content_digest
from protocol.hearing import Hearing
from protocol.messages import Body, Certificate, Commit, Evidence, Kind, Report
from protocol.report import BODY_BYTES_MAX, Deviation, ReportBody, ScoredShard
from protocol.rounds import AttesterMachine, DealerMachine, EncoderMachine
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import slot_start_ms
from protocol.statement import Statement
from protocol.verdict import Verdict
from tests.support.epochs import check_evidence, epoch_of, epochs_of
from tests.support.honest_round import answers_of, plain_scores
from tests.support.round_promises import AT, GENESIS, ROUND, Machine, Promises, check_entries, check_move

TO_ENCODERS = {Kind.CHALLENGE, Kind.LOCK, Kind.CERTIFICATE, Kind.EVIDENCE}
TIMERS_MAX = 6
"""Of one member: four of a dealer, expiry, and announce."""
FAR_AWAY_PPM = 1_000_000

Task = fx.Fetch | fx.Encode | fx.Score | fx.Recompute


@dataclass
class Member:
    """One node: machines, memory, blobs, and what it has asked for and not got yet."""

    key: bytes
    machines: list[Machine]
    hearing: Hearing = field(default_factory=lambda: Hearing(epochs_of(GENESIS)))
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    facts: list[fx.Fact] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    timers: list[fx.SetTimer] = field(default_factory=list)
    agreed: set[bytes] = field(default_factory=set)
    """Bodies of reports whose numbers it has recomputed and found as claimed."""
    alive: bool = True


@dataclass(frozen=True)
class Packet:
    """A statement on its way."""

    statement: Statement[Body]
    to: bytes
    by_stream: bool


class OpenRound:
    """The round, and everything ever said in it."""

    def __init__(
        self,
        liars: frozenset[bytes] = frozenset(),
        twist: Callable[[Body], Body | None] = lambda _: None,
        told: tuple[bytes, ...] = (),
    ) -> None:
        """Before a liar says something, those in `told` hear the `twist` of it, if there is one."""
        self.liars = liars
        self._twist = twist
        self._told = told
        self.now_ms = slot_start_ms(GENESIS, AT.round)
        self.members = {key: Member(key, self._machines(key)) for key in (*GENESIS.validators, *ROUND.shard)}
        self.post: list[Packet] = []
        self.delivered: list[Packet] = []
        self.promises = Promises()
        for member in self.members.values():
            for machine in member.machines:
                if isinstance(machine, AttesterMachine):
                    self._carry_out(member, machine.start())

    def _machines(self, key: bytes) -> list[Machine]:
        epoch = epoch_of(GENESIS, AT)
        if key not in GENESIS.validators:
            return [EncoderMachine(epoch, AT, key, ROUND.people[key].seed)]
        attester = AttesterMachine(epoch, AT, key)
        return [DealerMachine(epoch, AT, key), attester] if key == ROUND.dealer else [attester]

    # -- what can happen -----------------------------------------------------------------------------------

    def tell(self, key: bytes, event: ev.Event) -> None:
        """One event for the machines of a member, and its own statements right after."""
        member = self.members[key]
        if not member.alive:
            return
        events = [event]
        while events:
            told = events.pop(0)
            for machine in member.machines:
                before = machine.phase
                effects = machine.handle(told, self.now_ms)
                check_move(machine, before)
                events += self._carry_out(member, effects)

    def deliver(self, packet: Packet) -> None:
        """A statement arrives at its receiver."""
        member = self.members[packet.to]
        if not member.alive:
            return
        self.delivered.append(packet)
        heard = member.hearing.hear(packet.statement.data, self.now_ms)
        statement = heard.judgement.statement
        if heard.evidence is not None and packet.to not in self.liars:
            assert check_evidence(GENESIS, heard.evidence) in self.liars, "evidence names an honest member"
            self.say(member, heard.evidence)
        if heard.judgement.verdict is not Verdict.ACCEPT or statement is None:
            return
        if isinstance(statement.body, Certificate):
            self.promises.certificate(statement.body)
        if packet.by_stream and isinstance(statement.body, Commit):
            self._gossip(packet.to, statement)
        if not isinstance(statement.body, Evidence):
            self.tell(packet.to, ev.Received(statement))

    def finish(self, key: bytes, task: Task, *, wrong: bool = False) -> None:
        """A task ends: as it should, or as badly as it can."""
        self.members[key].tasks.remove(task)
        self.tell(key, self._result(self.members[key], task, wrong))

    def fire(self, key: bytes, timer: fx.SetTimer, late_ms: int = 0) -> None:
        """A timer is due; virtual time may have gone on longer."""
        self.members[key].timers.remove(timer)
        self.now_ms = max(self.now_ms, timer.at_ms) + late_ms
        self.tell(key, ev.TimerFired(timer.timer))

    def lie(self, key: bytes, body: Body, to: tuple[bytes, ...] | None = None) -> None:
        """Somebody who is not honest signs this and hands it to some, or gossips it.

        A liar chooses its moment: what it says arrives before anything else.
        """
        assert key in self.liars
        on_their_way, self.post = self.post, []
        self.say(self.members[key], body, to, remember=False)
        lies, self.post = self.post, on_their_way
        for packet in lies:
            self.deliver(packet)

    # -- what follows --------------------------------------------------------------------------------------

    def say(
        self, member: Member, body: Body, to: tuple[bytes, ...] | None = None, *, remember: bool = True
    ) -> Statement[Body]:
        """Sign; hand to some, or gossip. AssertionError when an honest member must not say this."""
        twisted = self._twist(body) if remember and member.key in self.liars else None
        if twisted is not None:
            self.lie(member.key, twisted, self._told if to is None else to)
        statement: Statement[Body] = ROUND.sign(member.key, body)
        self.promises.note(statement)
        if member.key not in self.liars:
            self.promises.check(statement, member.agreed)
        if remember:
            member.hearing.remember(statement)
        if to is None:
            self._gossip(member.key, statement)
        else:
            self.post += [Packet(statement, key, by_stream=True) for key in to if key != member.key]
        return statement

    def _gossip(self, sender: bytes, statement: Statement[Body]) -> None:
        for key in self.members:
            if key != sender and (key in GENESIS.validators or statement.kind in TO_ENCODERS):
                self.post.append(Packet(statement, key, by_stream=False))

    def _carry_out(self, member: Member, effects: list[fx.Effect]) -> list[ev.Event]:
        own: list[ev.Event] = []
        for effect in effects:
            match effect:
                case fx.Broadcast(body):
                    own.append(ev.Received(self.say(member, body)))
                case fx.Send(body, to):
                    self.say(member, body, to)
                case fx.Provide(data, _):
                    member.blobs[content_digest(data)] = data
                    self.promises.archive[content_digest(data)] = data
                case fx.SetTimer():
                    member.timers.append(effect)
                case fx.Persist(fact):
                    member.facts.append(fact)
                case fx.Fetch() | fx.Encode() | fx.Score() | fx.Recompute():
                    member.tasks.append(effect)
        return own

    def _result(self, member: Member, task: Task, wrong: bool) -> ev.Event:
        match task:
            case fx.Fetch(name, _, sources):
                served = [self.members[key].blobs.get(name) for key in (member.key, *sources)]
                data = next((one for one in served if one is not None), None)
                if wrong or data is None:
                    return ev.Unavailable(name, sources)
                member.blobs[name] = data
                return ev.Fetched(name, data)
            case fx.Encode(wave, views):
                return ev.Encoded(
                    wave, b"" if wrong else answers_of(member.key)(wave, [view.decode() for view in views])
                )
            case fx.Score():
                return ev.ScoringFailed("no memory") if wrong else ev.Scored(self._scores(task, member))
            case fx.Recompute(_, claimed):
                same = not wrong and self._scores(task, member) == claimed
                if same:
                    member.agreed |= self._bodies_claiming(claimed)
                return ev.Recomputed((Deviation("score", b"", 0 if same else FAR_AWAY_PPM),))

    def _scores(self, task: fx.Score | fx.Recompute, member: Member) -> ScoredShard:
        return plain_scores(task.task, member.blobs)

    def _bodies_claiming(self, claimed: ScoredShard) -> set[bytes]:
        """Of the reports, those whose body has these numbers."""
        names = {one.body.body for one in self.promises.said.values() if isinstance(one.body, Report)}
        blobs = self.members[ROUND.dealer].blobs
        bodies = {
            name: decode(blobs[name], ReportBody, size_bytes_max=BODY_BYTES_MAX) for name in names & {*blobs}
        }
        return {name for name, body in bodies.items() if body.scores == claimed}

    # -- what must hold ------------------------------------------------------------------------------------

    def check_bounds(self) -> None:
        """What every member remembers and waits for has a bound that no peer can move."""
        for member in self.members.values():
            assert len(member.timers) <= TIMERS_MAX
            assert len(member.tasks) <= 2 * (3 * len(ROUND.shard) + 1)
            assert member.hearing.entries_max <= len(self.promises.said)
            for machine in member.machines:
                check_entries(machine)

    def certificates(self) -> list[Certificate]:
        """What attesters believe; AssertionError unless each is one."""
        found = [
            machine.certificate
            for member in self.members.values()
            for machine in member.machines
            if isinstance(machine, AttesterMachine) and machine.certificate is not None
        ]
        for certificate in found:
            self.promises.certificate(certificate)
        return found
