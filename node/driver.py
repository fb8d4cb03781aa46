"""The driver: events to machines, effects to the world.

One task takes events from a bounded inbox, one at a time, and carries out the effects of each in their order:
what is to be persisted or signed is on the disk before the next effect begins. What takes long (fetching,
embedding, scoring, sending) runs beside it and comes back as an event.

A failure costs as little as it can: of a machine or of the disk its round, of a task beside it that task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVarTuple

import structlog
import trio

from node.clock import now_ms, sleep_until_ms
from node.network.errors import FetchError, NetworkError, RequestError
from node.network.exchange import Exchange
from node.network.host import Host
from node.scoring_worker import ScoringUnavailable
from node.signer import SignerError
from node.statements import Statements
from node.store.errors import StoreError
from protocol.gossip_rules import Topic, accused_of
from protocol.hashing import content_digest
from protocol.messages import Body, Evidence
from protocol.report import Deviation, ScoredShard, ScoreTask
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound
from protocol.statement import Statement

INBOX_MAX = 8192
"""What peers say is dropped beyond it; what this node's own tasks answer waits for room."""
EARLY_MAX = 4096
"""Statements kept of slots that have begun elsewhere and not here; the oldest go first."""
SEND_TRIES = 3
SEND_TIMEOUT_S = 10.0
STATEMENT_METHOD = "statement"
PENALTY_COST = 40.0

log = structlog.get_logger(__name__)

Args = TypeVarTuple("Args")


class Machine(Protocol):
    """What the driver needs of a round machine."""

    def handle(self, event: ev.Event, now_ms: int) -> list[fx.Effect]:
        """The effects of one event."""


def _ignored(_: Statement[Body]) -> None:
    """Encoders keep no history."""


async def _nothing(_: fx.Fact) -> None:
    """Encoders keep no history."""


async def _no_scores(_: ScoreTask) -> ScoredShard:
    raise ScoringUnavailable("this node does not score")


async def _no_comparison(_: ScoreTask, __: ScoredShard) -> tuple[Deviation, ...]:
    raise ScoringUnavailable("this node does not score")


async def _no_inputs(_: int) -> ev.InputsGathered | None:
    return None


async def _unchecked(_: int, data: bytes, __: bool) -> ev.InputsChecked | ev.InputsRefused:
    return ev.InputsRefused(content_digest(data), "this node does not vote")


async def _no_answers(_: ShardRound, __: int, ___: Sequence[bytes]) -> bytes:
    raise RuntimeError("this node does not embed")


@dataclass
class Role:
    """What a role adds to the driver: where facts go and who computes."""

    keep: Callable[[bytes, int, fx.Purpose], Awaitable[None]]
    """Make bytes durable before they count as here."""
    publish: Callable[[fx.Publish], None]
    witness: Callable[[Statement[Body]], None] = _ignored
    """Told of every valid statement."""
    persist: Callable[[fx.Fact], Awaitable[None]] = _nothing
    score: Callable[[ScoreTask], Awaitable[ScoredShard]] = _no_scores
    compare: Callable[[ScoreTask, ScoredShard], Awaitable[tuple[Deviation, ...]]] = _no_comparison
    encode: Callable[[ShardRound, int, Sequence[bytes]], Awaitable[bytes]] = _no_answers
    gather: Callable[[int], Awaitable[ev.InputsGathered | None]] = _no_inputs
    check: Callable[[int, bytes, bool], Awaitable[ev.InputsChecked | ev.InputsRefused]] = _unchecked


def _carry_on(_: str) -> None:
    """Nothing happens at a boundary."""


class Driver:
    """Runs the machines of the rounds that are open. Bounded by the rounds its role opens and the inbox."""

    def __init__(
        self,
        host: Host,
        exchange: Exchange,
        statements: Statements,
        role: Role,
        nursery: trio.Nursery,
        at_boundary: Callable[[str], None] = _carry_on,
    ) -> None:
        self._host = host
        self._exchange = exchange
        self._statements = statements
        self._role = role
        self._nursery = nursery
        self._topics = Topic(statements.genesis.network_id)
        self._machines: dict[ShardRound, list[Machine]] = {}
        self._send, self._inbox = trio.open_memory_channel[tuple[ShardRound, ev.Event]](INBOX_MAX)
        self._own: deque[tuple[ShardRound, ev.Event]] = deque()  # bounded by the effects of one event
        self._early: deque[Statement[Body]] = deque(maxlen=EARLY_MAX)
        self._at_boundary = at_boundary  # tests kill the process here
        self.on_unopened: Callable[[Statement[Body]], None] = lambda _: None
        """Called with statements of rounds no machine is open for, so that a role may open them."""
        statements.on_accepted = self.receive
        statements.on_evidence = self.accuse

    # -- rounds --------------------------------------------------------------------------------------------

    def open(self, at: ShardRound, machines: Sequence[Machine], effects: Sequence[fx.Effect] = ()) -> None:
        """Open a shard-round with its machines; `effects` are those of their start: timers."""
        self._machines[at] = list(machines)
        for effect in effects:
            assert isinstance(effect, fx.SetTimer), f"a round cannot start with {effect}"
            self._start(self._timer, at, effect.timer, effect.at_ms)
        early = list(self._early)
        self._early.clear()
        for statement in early:
            self._offer_or_keep(statement)

    def waiting(self) -> int:
        """Events in the inbox. From any thread."""
        return self._send.statistics().current_buffer_used

    def is_open(self, at: ShardRound) -> bool:
        """Whether machines of this shard-round run."""
        return at in self._machines

    def close_before(self, round_: int) -> None:
        """Forget rounds that have expired."""
        for at in [at for at in self._machines if at.round < round_]:
            del self._machines[at]

    async def tell(self, at: ShardRound, event: ev.Event) -> None:
        """Put an event of this node into the inbox, waiting for room: it is never lost."""
        await self._send.send((at, event))

    def receive(self, statement: Statement[Body]) -> None:
        """A valid statement for the machines of its round."""
        body = statement.body
        self._role.witness(statement)
        if isinstance(body, Evidence):
            return
        if body.at not in self._machines:
            self.on_unopened(statement)
        self._offer_or_keep(statement)

    def _offer_or_keep(self, statement: Statement[Body]) -> None:
        # Clocks differ, and gossip says nothing twice.
        at = statement.body.at  # type: ignore[union-attr]
        if at not in self._machines and all(at > other for other in self._machines):
            self._early.append(statement)
        else:
            self._offer(at, ev.Received(statement))

    def accuse(self, evidence: Evidence) -> None:
        """Gossip evidence found here, if this node is heard: a member of the epoch that it is about."""
        accused = accused_of(evidence, self._statements.genesis.network_id)
        epoch = None if accused is None else self._statements.epochs.find(accused[0].epoch)
        if epoch is None or not epoch.is_member(self._host.public_key):
            return
        self._start(self._broadcast_evidence, evidence)

    def pass_on(self, statement: Statement[Body]) -> None:
        """Gossip what somebody else has said."""
        self._start(self._gossip, statement)

    def peer_gone(self, public_key: bytes) -> None:
        """Tell every open round that a peer is gone."""
        for at in self._machines:
            self._offer(at, ev.PeerGone(public_key))

    def _offer(self, at: ShardRound, event: ev.Event) -> None:
        """Put an event that others cause into the inbox; when it is full the event is dropped and counted."""
        if at not in self._machines:
            return
        try:
            self._send.send_nowait((at, event))
        except trio.WouldBlock:
            self._host.counters.add("driver.inbox_full")

    async def run(self) -> None:
        """Handle events until cancelled."""
        async for at, event in self._inbox:
            await self._handle(at, event)
            # One's own statements at once: a full inbox cannot lose them.
            while self._own:
                await self._handle(*self._own.popleft())

    async def _handle(self, at: ShardRound, event: ev.Event) -> None:
        # On every line that is logged for it, also by the tasks it starts.
        with structlog.contextvars.bound_contextvars(round=at.round, shard=at.shard):
            await self._have_handled(at, event)

    async def _have_handled(self, at: ShardRound, event: ev.Event) -> None:
        for machine in self._machines.get(at, ()):
            try:
                await self._carry_out(at, machine.handle(event, now_ms()))
            except (SignerError, StoreError, NetworkError) as error:
                self._abandon(at, error)
            except Exception:
                # A fault of ours, which a peer may have found.
                self._host.counters.add("driver.faults")
                log.exception("round.abandoned", round=at.round, shard=at.shard)
                self._machines.pop(at, None)
            else:
                continue
            return

    def _abandon(self, at: ShardRound, error: Exception) -> None:
        """This round goes on without us; others are not touched."""
        log.warning("round.abandoned", round=at.round, shard=at.shard, reason=str(error))
        self._machines.pop(at, None)

    def _start(self, task: Callable[[*Args], Awaitable[None]], *args: *Args) -> None:
        self._nursery.start_soon(self._survive, task, args)

    async def _survive(self, task: Callable[[*Args], Awaitable[None]], args: tuple[*Args]) -> None:
        try:
            await task(*args)
        except Exception:
            # In a nursery the first exception would end the node.
            self._host.counters.add("driver.faults")
            log.exception("task.failed", task=getattr(task, "__name__", ""))

    # -- effects -------------------------------------------------------------------------------------------

    async def _carry_out(self, at: ShardRound, effects: Sequence[fx.Effect]) -> None:
        for effect in effects:
            self._at_boundary(f"before {type(effect).__name__}")
            await self._one(at, effect)
            self._at_boundary(f"after {type(effect).__name__}")

    async def _one(self, at: ShardRound, effect: fx.Effect) -> None:
        start = self._start
        match effect:
            case fx.Persist(fact):
                await self._role.persist(fact)
            case fx.Broadcast(body, handed_to):
                statement = await self._broadcast(body, handed_to)
                self._own.append((at, ev.Received(statement)))
            case fx.Send(body, to):
                statement = await self._statements.sign(body)
                for key in to:
                    start(self._send_to, key, statement.data)
            case fx.Provide(data, purpose):
                self._exchange.put(data)
                await self._role.keep(data, at.round, purpose)
            case fx.Fetch(name, size_bytes, sources, purpose):
                start(self._fetch, at, name, size_bytes, sources, purpose)
            case fx.SetTimer(timer, at_ms):
                start(self._timer, at, timer, at_ms)
            case fx.Encode(wave, views):
                start(self._encode, at, wave, views)
            case fx.Score(task):
                start(self._score, at, task)
            case fx.Recompute(task, claimed):
                start(self._recompute, at, task, claimed)
            case fx.GatherInputs(epoch):
                start(self._gather_inputs, at, epoch)
            case fx.CheckInputs(epoch, data, vouched):
                start(self._check_inputs, at, epoch, data, vouched)
            case fx.Penalise(key, reason):
                self._host.penalise(key, PENALTY_COST, reason)
            case fx.Publish():
                self._role.publish(effect)

    async def _broadcast(self, body: Body, handed_to: Sequence[bytes] = ()) -> Statement[Body]:
        statement = await self._statements.sign(body)
        self._role.witness(statement)
        for key in handed_to:
            self._start(self._send_to, key, statement.data)
        await self._gossip(statement)
        return statement

    async def _gossip(self, statement: Statement[Body]) -> None:
        topic = self._topics.of(statement.kind)
        if topic is not None:
            await self._host.publish(topic, statement.data)

    async def _broadcast_evidence(self, evidence: Evidence) -> None:
        try:
            await self._broadcast(evidence)
        except (SignerError, NetworkError) as error:
            log.warning("evidence.unsaid", reason=str(error))

    async def _send_to(self, key: bytes, data: bytes) -> None:
        reason = ""
        for attempt in range(SEND_TRIES):
            try:
                await self._host.request(key, STATEMENT_METHOD, data, timeout_s=SEND_TIMEOUT_S)
                return
            except RequestError as error:
                reason = str(error)
                await trio.sleep(0.25 * 2**attempt)
        self._host.counters.add("driver.unsent")
        log.info("statement.unsent", peer=key.hex()[:8], reason=reason)

    async def _timer(self, at: ShardRound, timer: str, at_ms: int) -> None:
        await sleep_until_ms(at_ms)
        if at in self._machines:
            await self.tell(at, ev.TimerFired(timer))

    async def _fetch(
        self, at: ShardRound, name: bytes, size_bytes: int, sources: Sequence[bytes], purpose: fx.Purpose
    ) -> None:
        others = [key for key in sources if key != self._host.public_key]
        try:
            data = await self._exchange.fetch(name, size_bytes, others)
            await self._role.keep(data, at.round, purpose)
        except FetchError as error:
            log.info(
                "blob.unavailable", round=at.round, shard=at.shard, digest=name.hex()[:8], reason=str(error)
            )
            await self.tell(at, ev.Unavailable(name, tuple(sources)))
        except StoreError as error:
            # Our own disk is nobody's fault: neither a dispute of the report nor a missing reveal.
            self._abandon(at, error)
        else:
            await self.tell(at, ev.Fetched(name, data))

    async def _encode(self, at: ShardRound, wave: int, views: tuple[bytes, ...]) -> None:
        try:
            answers = await self._role.encode(at, wave, views)
        except Exception:
            # A model is anybody's code; without an answer this round is over for us.
            log.exception("model.failed", round=at.round, shard=at.shard, wave=wave)
            answers = b""
        await self.tell(at, ev.Encoded(wave, answers))

    async def _score(self, at: ShardRound, task: ScoreTask) -> None:
        try:
            event: ev.Event = ev.Scored(await self._role.score(task))
        except ScoringUnavailable as error:
            event = self._no_scores(at, error)
        await self.tell(at, event)

    async def _recompute(self, at: ShardRound, task: ScoreTask, claimed: ScoredShard) -> None:
        try:
            event: ev.Event = ev.Recomputed(await self._role.compare(task, claimed))
        except ScoringUnavailable as error:
            event = self._no_scores(at, error)
        await self.tell(at, event)

    async def _gather_inputs(self, at: ShardRound, epoch: int) -> None:
        try:
            gathered = await self._role.gather(epoch)
        except StoreError as error:
            log.warning("epoch.not_proposed", epoch=epoch, reason=str(error))
            return
        if gathered is not None:
            await self.tell(at, gathered)

    async def _check_inputs(self, at: ShardRound, epoch: int, data: bytes, vouched: bool) -> None:
        try:
            await self.tell(at, await self._role.check(epoch, data, vouched))
        except StoreError as error:
            log.warning("epoch.unchecked", epoch=epoch, reason=str(error))

    def _no_scores(self, at: ShardRound, error: ScoringUnavailable) -> ev.ScoringFailed:
        log.error("scoring.failed", round=at.round, shard=at.shard, reason=str(error))
        return ev.ScoringFailed(str(error))
