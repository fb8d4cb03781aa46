"""One simulated node: what `node/driver.py` does with machines, effects and statements, in virtual time.

Events one at a time, the effects of each in order, one's own statements at once. Whatever is persisted or
signed is on the disk before the next effect begins. A crash loses all but the disk.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Protocol

from node.signer.errors import OpensLaterError, SignerError
from node.sim.disk import Crash, Disk
from node.sim.epochs import FOLLOW_EVERY_MS, ToldEpoch, checked_epochs, epochs_on, told_epochs
from node.sim.network import Network
from node.sim.observer import Observer
from node.sim.scheduler import Scheduler
from node.sim.shared import Shared
from node.sim.signer import SimSigner
from node.sim.trace import Trace
from node.sim.vectors import StandInError, stand_in_comparison, stand_in_scores
from node.sim.world import Member, World
from node.store.errors import StoreError
from protocol.codec import CodecError
from protocol.epochs.agreed import EpochCertificateError
from protocol.epochs.known import Epochs
from protocol.epochs.record import RecordError
from protocol.epochs.view import Epoch
from protocol.evidence import vote_slot
from protocol.genesis import Genesis
from protocol.gossip_rules import Topic
from protocol.hashing import content_digest
from protocol.hearing import Heard, Hearing
from protocol.messages import Body, Commit, Evidence, Exit, Registration
from protocol.report import ScoreTask
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, round_at
from protocol.statement import Statement, assemble, statement_digest
from protocol.verdict import Verdict

LOOK_AGAIN_MS = 5_000
"""How long a sleep until a time lasts at most before the clock is looked at again, as in `node/clock.py`."""
MEND_EVERY_MS = 3_000
SCORING_MS = 200
INPUTS_MS = 50
"""What gathering or checking the inputs of a record takes."""
BLOBS_IN_MEMORY_MAX = 512


class Machine(Protocol):
    """What a driver needs of a round machine."""

    def handle(self, event: ev.Event, now_ms: int) -> list[fx.Effect]:
        """The effects of one event."""


class SimNode:
    """What validators and encoders have in common."""

    def __init__(
        self,
        member: Member,
        world: World,
        scheduler: Scheduler,
        network: Network,
        trace: Trace,
        observer: Observer,
        shared: Shared,
    ) -> None:
        self.member = member
        self.key = member.key
        self.world = world
        self.genesis: Genesis = world.genesis
        self.scheduler = scheduler
        self.network = network
        self.trace = trace
        self.observer = observer
        self.shared = shared
        self.disk = Disk()
        self.alive = False
        self.skew_ms = 0
        self.crash_in: int | None = None
        """Boundaries left until the process ends."""
        self.machines: dict[ShardRound, list[Machine]] = {}
        self.epochs = self.known_epochs()
        self.hearing = Hearing(self.epochs, self.shared.read)
        self.signer: SimSigner | None = None
        self._topics = Topic(self.genesis.network_id)
        self._memory: OrderedDict[bytes, bytes] = OrderedDict()
        self._own: deque[tuple[ShardRound, ev.Event]] = deque()
        self.on_death: Callable[[], None] = lambda: None
        self._asked = 0
        self._life = 0  # processes so far: what an earlier one began is over

    def known_epochs(self) -> Epochs:
        """What a process knows of epochs when it begins: what is on its disk."""
        return epochs_on(self.disk, self.genesis)

    # -- life ----------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """What this node's clock shows."""
        return self.scheduler.now_ms + self.skew_ms

    def start(self) -> None:
        """Begin a process: open the signer, waiting as the node does, then take part."""
        self._life += 1
        self.epochs = self.known_epochs()
        self.machines, self.hearing, self.signer = {}, Hearing(self.epochs, self.shared.read), None
        self._memory.clear()
        self._own.clear()
        self.observer.restarted(self)
        self.note("starts")
        self.enter(self._open_signer)

    def _open_signer(self) -> None:
        try:
            self.signer = SimSigner(self.disk, self.member.seed, self.next_round(), self.boundary)
        except OpensLaterError as error:
            self.note(f"signer waits for round {error.first_round_min}")
            at_ms = self.genesis.content.genesis_time_ms
            at_ms += (error.first_round_min - 1) * self.genesis.parameters.slot_ms
            self.sleep_until(at_ms, self._open_signer)
        except SignerError as error:
            self.note(f"stops: {error}")
            self.after(MEND_EVERY_MS, self._open_signer)  # whoever supervises it starts it again
        else:
            self.alive = True  # the port opens only now: nobody hears from a node that cannot sign
            self.after(MEND_EVERY_MS, self._mend)
            self.joined()

    def next_round(self) -> int:
        """The first round that begins after now: an earlier process may have voted in the one that runs."""
        return max(0, round_at(self.genesis, self.now_ms) + 1)

    def _mend(self) -> None:
        assert self.signer is not None
        self.after(MEND_EVERY_MS, self._mend)
        if not self.signer.has_failed:
            return
        try:
            self.signer.open(self.next_round())
        except SignerError as error:
            self.note(f"signer failed: {error}")
        else:
            self.note(f"signer votes again from round {self.signer.first_round}")

    def joined(self) -> None:
        """The signer is open: take part. What a role does, after this."""
        self.follow()

    # -- epochs --------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Ask one validator after another for the records that are missing here."""
        self.after(FOLLOW_EVERY_MS, self.follow)
        others = [key for key in self.genesis.validators if key != self.key]
        source = others[self._asked % len(others)]
        self._asked += 1
        first, life = self.epochs.newest.number + 1, self._life

        def told(epochs: tuple[ToldEpoch, ...] | None) -> None:
            if self._life == life and epochs:
                self.enter(lambda: self._take_epochs(epochs))

        self.network.ask(self.key, source, lambda peer: peer.tell_epochs(first), told)
        self.catch_up(source)

    def _take_epochs(self, told: tuple[ToldEpoch, ...]) -> None:
        newest = self.epochs.newest.number
        told = tuple(one for one in told if one.record.certificate.epoch > newest)
        try:
            for fact in checked_epochs(self.epochs, told):
                self.persist(fact)
                self.note(f"catches up with epoch {fact.epoch.number}")
        except (CodecError, RecordError, EpochCertificateError, StoreError) as error:
            self.note(f"takes no epoch: {error}")

    def tell_epochs(self, first: int) -> tuple[ToldEpoch, ...]:
        """The epochs from a number on that are written down here."""
        return told_epochs(self.disk, first)

    def tell_rounds(self, epoch: int) -> tuple[fx.RoundCertified, ...]:
        """The certified rounds of an epoch that are written down here."""
        return ()

    def catch_up(self, source: bytes) -> None:
        """Ask a validator for certified rounds that are missing here. Validators do."""

    def begins(self, epoch: Epoch) -> None:
        """Take up an epoch whose record is written down."""
        if epoch.number == self.epochs.newest.number + 1:
            self.epochs.add(epoch)

    def die(self, reason: str) -> None:
        """The process ends; only the disk is left."""
        self._life += 1
        self.alive = False
        self.crash_in = None
        self.machines = {}
        self.note(f"dies: {reason}")
        self.network.lost(self.key)
        self.on_death()

    def boundary(self, _: str) -> None:
        """A point between two steps, where a process may end."""
        if self.crash_in is None:
            return
        self.crash_in -= 1
        if self.crash_in <= 0:
            raise Crash("at a boundary")

    def enter(self, run: Callable[[], None]) -> None:
        """Let something happen in this process, and what follows from it at once."""
        try:
            run()
            while self._own:
                self.handle(*self._own.popleft())
        except Crash as crash:
            self.die(str(crash))
        self.observer.after_event(self)

    def after(self, delay_ms: int, run: Callable[[], None]) -> None:
        """Have something happen in this process later, if it still lives then."""
        life = self._life

        def wake() -> None:
            if self._life == life:
                self.enter(run)

        self.scheduler.after(delay_ms, wake)

    def sleep_until(self, at_ms: int, run: Callable[[], None]) -> None:
        """Have something happen when this node's clock shows `at_ms`; it looks again, as clocks are set."""

        def look() -> None:
            left_ms = at_ms - self.now_ms
            if left_ms > 0:
                self.after(min(left_ms, LOOK_AGAIN_MS), look)
            else:
                run()

        look()

    def note(self, what: str) -> None:
        """A line of the trace."""
        self.trace.note(self.scheduler.now_ms, self.member.name, what)

    # -- statements ----------------------------------------------------------------------------------------

    def receive(self, data: bytes, topic: str | None) -> None:
        """A statement has arrived."""
        self.enter(lambda: self._hear(data, topic))

    def _hear(self, data: bytes, topic: str | None) -> None:
        heard = self.hearing.hear(data, self.now_ms, topic)
        statement, verdict = heard.judgement.statement, heard.judgement.verdict
        self.observer.heard(self, heard)
        self.heard(heard)
        if verdict is Verdict.ACCEPT and statement is not None:
            self.note(f"accepts {self.observer.named(statement)}")
            if topic is not None:
                self.forward(statement, topic)
            elif isinstance(statement.body, Commit | Registration | Exit):
                self.gossip(statement)  # the witnesses of a commit make it known; so with who joins or leaves
            self.accepted(statement)
        elif verdict is Verdict.REJECT or statement is not None:
            self.note(f"{verdict.value}s: {heard.judgement.reason}")
        if heard.evidence is not None:
            self.accuse(heard.evidence)

    def heard(self, heard: Heard) -> None:
        """A statement was judged; byzantine nodes listen here."""

    def accepted(self, statement: Statement[Body]) -> None:
        """Hand a statement to the machines of its round."""
        body = statement.body
        self.witness(statement)
        if isinstance(body, Evidence):
            return
        if body.at not in self.machines:
            self.unopened(statement)
        self.handle(body.at, ev.Received(statement))

    def witness(self, statement: Statement[Body]) -> None:
        """Take note of a statement, whatever the machines make of it."""

    def unopened(self, statement: Statement[Body]) -> None:
        """No machine is open for this statement's round; a role may open one."""

    def forward(self, statement: Statement[Body], topic: str) -> None:
        """Gossip on what somebody else has said."""
        self.network.forward(self.key, statement.data, topic)

    def gossip(self, statement: Statement[Body]) -> None:
        """Gossip to everyone on the kind's topic."""
        topic = self._topics.of(statement.kind)
        if topic is not None:
            self.network.gossip(self.key, statement.data, topic)

    def accuse(self, evidence: Evidence) -> None:
        """Gossip evidence found here."""
        self.gossip(self.say(evidence))

    def say(self, body: Body) -> Statement[Body]:
        """Sign a body under the one-vote rule; it may leave from here on. Raises SignerError."""
        name = statement_digest(self.genesis.network_id, self.key, body)
        draft: Statement[Body] = Statement(body, self.key, name, b"", b"")
        if self.signer is None:
            raise SignerError("the signer is not open yet: wait for it")
        signature = self.signer.sign(vote_slot(draft), name)
        statement = assemble(self.genesis.network_id, self.key, body, signature)
        self.hearing.remember(statement)
        self.witness(statement)
        self.observer.said(self, statement)
        self.note(f"says {self.observer.named(statement)}")
        return statement

    def peer_gone(self, key: bytes) -> None:
        """Tell every open round that a peer is gone."""

        def tell() -> None:
            for at in list(self.machines):
                self.handle(at, ev.PeerGone(key))

        self.enter(tell)

    # -- machines and effects ------------------------------------------------------------------------------

    def handle(self, at: ShardRound, event: ev.Event) -> None:
        """One event for the machines of a round; a failure of disk or signer costs this round only."""
        for machine in self.machines.get(at, ()):
            try:
                effects = machine.handle(event, self.now_ms)
                self.observer.handled(self, machine)
                self.carry_out(at, effects)
            except (SignerError, StoreError) as error:
                self.note(f"abandons round {at}: {error}")
                self.machines.pop(at, None)
                return

    def carry_out(self, at: ShardRound, effects: Sequence[fx.Effect]) -> None:
        """Effects in their order, each between two boundaries."""
        for effect in effects:
            self.boundary(f"before {type(effect).__name__}")
            self.one(at, effect)
            self.boundary(f"after {type(effect).__name__}")

    def one(self, at: ShardRound, effect: fx.Effect) -> None:
        """Carry out one effect."""
        match effect:
            case fx.Persist(fact):
                self.persist(fact)
            case fx.Broadcast(body, handed_to):
                statement = self.say(body)
                for key in handed_to:
                    self.network.hand(self.key, key, statement.data)
                self.gossip(statement)
                self._own.append((at, ev.Received(statement)))
            case fx.Send(body, to):
                statement = self.say(body)
                for key in to:
                    self.network.hand(self.key, key, statement.data)
            case fx.Provide(data, _):
                self.keep(content_digest(data), data)
            case fx.Fetch(name, size_bytes, sources, _):
                self._fetch(at, name, size_bytes, [key for key in sources if key != self.key])
            case fx.SetTimer(timer, at_ms):
                self.sleep_until(at_ms, lambda: self.handle(at, ev.TimerFired(timer)))
            case fx.Encode(wave, texts):
                self.encode(at, wave, texts)
            case fx.Score(task):
                self.after(SCORING_MS, lambda: self.handle(at, self.scored(task)))
            case fx.Recompute():
                self.after(SCORING_MS, lambda: self.handle(at, self._recomputed(effect)))
            case fx.GatherInputs() | fx.CheckInputs():
                self.after(INPUTS_MS, lambda: self.inputs(at, effect))
            case fx.Penalise(key, reason):
                self.note(f"penalises {self.observer.name_of(key)}: {reason}")
            case fx.Publish(_, step, wave):
                self.note(
                    f"round {at} {step.value}{f' wave {wave}' if wave else ''} {effect.detail}".rstrip()
                )

    def persist(self, fact: fx.Fact) -> None:
        """Write a fact down. Raises StoreError. An encoder keeps epochs in memory only."""
        if isinstance(fact, fx.EpochDecided):
            self.begins(fact.epoch)
            self.observer.persisted(self, fact)

    def inputs(self, at: ShardRound, effect: fx.GatherInputs | fx.CheckInputs) -> None:
        """Gather or check what the next epoch is computed from. Validators do."""

    def encode(self, at: ShardRound, wave: int, texts: tuple[str, ...]) -> None:
        """Answer a wave later. Encoders do."""

    def scored(self, task: ScoreTask) -> ev.Event:
        """The answer to Score."""
        try:
            return ev.Scored(stand_in_scores(task, self.blob))
        except StandInError as error:
            return ev.ScoringFailed(str(error))

    def _recomputed(self, effect: fx.Recompute) -> ev.Event:
        try:
            return ev.Recomputed(stand_in_comparison(effect.task, self.blob, effect.claimed))
        except StandInError as error:
            return ev.ScoringFailed(str(error))

    # -- blobs ---------------------------------------------------------------------------------------------

    def blob(self, digest: bytes) -> bytes | None:
        """A blob that is here."""
        return self._memory.get(digest)

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """A blob for somebody who asks."""
        return self.blob(digest)

    def keep(self, name: bytes, data: bytes) -> None:
        """Keep bytes under their digest; a validator makes them durable first. Raises StoreError."""
        self._memory[name] = data
        while len(self._memory) > BLOBS_IN_MEMORY_MAX:
            self._memory.popitem(last=False)
        self.observer.provided(name, data)

    def _fetch(self, at: ShardRound, name: bytes, size_bytes: int, sources: Sequence[bytes]) -> None:
        here = self.blob(name)
        if here is not None:
            self.after(0, lambda: self.handle(at, ev.Fetched(name, here)))
            return
        life, left = self._life, deque(sources)

        def ask() -> None:
            if left:
                self.network.fetch(self.key, name, left.popleft(), arrived)
            else:
                self.after(1, lambda: self.handle(at, ev.Unavailable(name, tuple(sources))))

        def arrived(data: bytes | None) -> None:
            if self._life != life:
                return
            if data is None or len(data) != size_bytes or content_digest(data) != name:
                ask()
            else:
                self.enter(lambda: self._fetched(at, name, data))

        ask()

    def _fetched(self, at: ShardRound, name: bytes, data: bytes) -> None:
        try:
            self.keep(name, data)
        except StoreError as error:
            self.note(f"abandons round {at}: {error}")
            self.machines.pop(at, None)
        else:
            self.handle(at, ev.Fetched(name, data))
