"""The driver: effects in their order, one round's failure its own, nothing of its own lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

import node.driver
from node.driver import SEND_TRIES, STATEMENT_METHOD, Driver, Role
from node.network.errors import RequestError
from node.network.exchange import digest_of
from node.scoring_worker import ScoringUnavailable
from node.signer import Signer
from node.statements import Statements
from node.store import StoreError
from protocol.genesis import Genesis
from protocol.messages import Attestation, Body
from protocol.report import Deviation, ScoredShard, ScoreTask
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, shard_round, slot_start_ms
from protocol.statement import Statement, parse
from tests.support.epochs import epochs_of
from tests.support.fakes import FakeExchange, FakeHost, VirtualClock, virtual_clock
from tests.support.genesis import small_network
from tests.support.memory_network import Identity

pytestmark = pytest.mark.anyio
BLOB = b"some answers"
TASK = cast(ScoreTask, "task")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, 1_000_000 + 5 * 20_000)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


Reply = list[fx.Effect] | Exception


class Script:
    """A machine that answers events as told and remembers them."""

    def __init__(self, *replies: Reply | Callable[[ev.Event], Reply]) -> None:
        self.replies = list(replies)
        self.events: list[ev.Event] = []
        self.times_ms: list[int] = []
        self._told = trio.Event()

    def handle(self, event: ev.Event, now_ms: int) -> list[fx.Effect]:
        self.events.append(event)
        self.times_ms.append(now_ms)
        self._told.set()
        reply = self.replies.pop(0) if self.replies else []
        found = reply(event) if callable(reply) else reply
        if isinstance(found, Exception):
            raise found
        return found

    async def has_seen(self, count: int) -> list[ev.Event]:
        with trio.fail_after(3_600):
            while len(self.events) < count:
                self._told = trio.Event()
                await self._told.wait()
        await trio.testing.wait_all_tasks_blocked()  # what it asked for is done, or under way
        return self.events


@dataclass
class Rig:
    """A driver over fakes, with a real signer; `said` is what happened, in order."""

    genesis: Genesis
    people: list[Identity]
    host: FakeHost
    exchange: FakeExchange
    signer: Signer
    driver: Driver
    said: list[str]
    kept: list[bytes] = field(default_factory=list)
    keep_error: StoreError | None = None
    persist_error: StoreError | None = None

    def at(self, round_: int = 5) -> ShardRound:
        return shard_round(self.genesis, round_, 0)

    def attestation(self, round_: int = 5, mark: bytes = b"r") -> Attestation:
        return Attestation(self.at(round_), mark * 32)

    def open(self, *scripts: Script, round_: int = 5) -> ShardRound:
        at = self.at(round_)
        self.driver.open(at, scripts)
        return at


@pytest.fixture
def role() -> Role:
    """Replaced in parts by tests."""

    async def keep(data: bytes, round_: int, purpose: fx.Purpose) -> None:
        raise NotImplementedError

    return Role(keep=keep, publish=lambda _: None)


@asynccontextmanager
async def running(path: Path, role: Role, *, first_round: int = 0, run: bool = True) -> AsyncIterator[Rig]:
    """A driver at work; a failure of any of its tasks would fail the test."""
    genesis, validators, _ = small_network(4, 4)
    me = validators[0]
    said: list[str] = []
    network_id = genesis.network_id
    with Signer.open(
        path / "signer.sqlite",
        me.seed,
        network_id,
        first_round=first_round,
        at_boundary=lambda boundary: said.append(f"signer {boundary.value}"),
    ) as signer:
        said.clear()
        host, exchange = FakeHost(me.key), FakeExchange()
        statements = Statements(epochs_of(genesis), signer, host.counters)
        async with trio.open_nursery() as nursery:
            driver = Driver(
                host.host,
                exchange,
                statements,
                role,
                nursery,
                lambda boundary: said.append(boundary),
            )
            rig = Rig(genesis, validators, host, exchange, signer, driver, said)
            host.on_publish = lambda data: said.append(f"published {parse(data, network_id).kind.value}")

            async def keep(data: bytes, round_: int, purpose: fx.Purpose) -> None:
                said.append("keep begins")
                await trio.sleep(0.5)
                if rig.keep_error is not None:
                    raise rig.keep_error
                rig.kept.append(data)
                said.append("keep ends")

            async def persist(fact: fx.Fact) -> None:
                said.append("persist begins")
                await trio.sleep(0.5)
                if rig.persist_error is not None:
                    raise rig.persist_error
                said.append("persist ends")

            role.keep, role.persist = keep, persist
            role.publish = lambda step: said.append(f"step {step.step.value}")
            if run:
                nursery.start_soon(driver.run)
            yield rig
            nursery.cancel_scope.cancel()


async def test_effects__each_is_done_before_the_next_begins(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        fact = fx.RoundVoid(rig.at(), "test")
        machine = Script(
            [
                fx.Persist(fact),
                fx.Provide(BLOB, fx.Purpose.VIEWS),
                fx.Broadcast(rig.attestation()),
                fx.Publish(rig.at(), fx.Step.ATTESTED),
            ]
        )
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        events = await machine.has_seen(2)
        order = [line for line in rig.said if not line.startswith("signer") or line == "signer signed"]
        assert order == [
            "before Persist",
            "persist begins",
            "persist ends",
            "after Persist",
            "before Provide",
            "keep begins",
            "keep ends",
            "after Provide",
            "before Broadcast",
            "signer signed",
            "published attestation",
            "after Broadcast",
            "before Publish",
            "step attested",
            "after Publish",
        ]
        written = [line for line in rig.said if line.startswith("signer")]
        assert written.index("signer watermark_written") < written.index("signer signed")
        assert rig.exchange.has(digest_of(BLOB))
        # What was broadcast comes back to the own machine.
        assert isinstance(events[1], ev.Received)
        assert events[1].statement.body == rig.attestation()


@pytest.mark.parametrize("failure", ["signer", "store", "machine"])
async def test_failure__costs_its_own_round_only(tmp_path: Path, role: Role, failure: str) -> None:
    async with running(tmp_path, role, first_round=5) as rig:
        if failure == "store":
            rig.persist_error = StoreError("the disk is full")
        replies: dict[str, Reply] = {
            "signer": [fx.Broadcast(rig.attestation(4)), fx.Publish(rig.at(4), fx.Step.ATTESTED)],
            "store": [
                fx.Persist(fx.RoundVoid(rig.at(4), "")),
                fx.Publish(rig.at(4), fx.Step.ATTESTED),
            ],
            "machine": ValueError("a peer has found this"),
        }
        failing, beside = Script(replies[failure]), Script()
        other = Script([fx.Broadcast(rig.attestation(5))])
        await rig.driver.tell(rig.open(failing, beside, round_=4), ev.TimerFired("go"))
        await rig.driver.tell(rig.open(other, round_=5), ev.TimerFired("go"))
        await other.has_seen(2)
        assert not rig.driver.is_open(rig.at(4))
        assert rig.driver.is_open(rig.at(5))
        assert beside.events == []
        assert "step attested" not in rig.said
        assert [parse(data, rig.genesis.network_id).body for _, data in rig.host.published] == [
            rig.attestation(5)
        ]
        assert rig.host.counters.get("driver.faults", 0) == (failure == "machine")


async def test_inbox__drops_what_others_say_and_never_what_the_node_itself_does(
    tmp_path: Path, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.driver, "INBOX_MAX", 4)
    async with running(tmp_path, role, run=False) as rig:
        machine = Script([fx.Broadcast(rig.attestation())])
        at = rig.open(machine)
        statement = cast(Statement[Body], parse_signed(rig))
        for _ in range(10):
            rig.driver.receive(statement)
        assert rig.host.counters["driver.inbox_full"] == 6
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(rig.driver.tell, at, ev.TimerFired(str(number)))
            nursery.start_soon(rig.driver.run)
            await machine.has_seen(4 + 8 + 1)
            nursery.cancel_scope.cancel()
        fired = [event.timer for event in machine.events if isinstance(event, ev.TimerFired)]
        assert sorted(fired) == [str(number) for number in range(8)]
        # The own statement went before all that was waiting.
        assert isinstance(machine.events[1], ev.Received)
        assert machine.events[1].statement.signer == rig.host.public_key


def parse_signed(rig: Rig) -> Statement[Attestation]:
    """Another validator's attestation."""
    from protocol.signatures import sign
    from protocol.statement import assemble, statement_digest

    body, other = rig.attestation(mark=b"o"), rig.people[1]
    name = statement_digest(rig.genesis.network_id, other.key, body)
    return assemble(rig.genesis.network_id, other.key, body, sign(other.seed, name))


async def test_statement_of_a_round_nobody_opened__is_offered_to_the_role_and_takes_no_room(
    tmp_path: Path, role: Role
) -> None:
    async with running(tmp_path, role, run=False) as rig:
        offered: list[Statement[Body]] = []
        rig.driver.on_unopened = offered.append
        statement = parse_signed(rig)
        rig.driver.receive(statement)
        assert offered == [statement]
        assert rig.driver._inbox.statistics().current_buffer_used == 0


async def test_timer__fires_at_its_time_and_not_for_a_closed_round(
    tmp_path: Path, role: Role, clock: VirtualClock
) -> None:
    async with running(tmp_path, role) as rig:
        began_ms = clock.now_ms
        machine = Script([fx.SetTimer("wave-1", began_ms + 100_000)])
        closed = Script([fx.SetTimer("wave-1", began_ms + 50_000)])
        await rig.driver.tell(rig.open(machine, round_=6), ev.TimerFired("go"))
        await rig.driver.tell(rig.open(closed, round_=5), ev.TimerFired("go"))
        await closed.has_seen(1)
        rig.driver.close_before(6)
        await machine.has_seen(2)
        assert machine.events[1] == ev.TimerFired("wave-1")
        assert 0 <= machine.times_ms[1] - began_ms - 100_000 <= 20
        assert len(closed.events) == 1
        assert not rig.driver.is_open(rig.at(5))


async def test_timers_of_the_start__are_set_and_nothing_else_may_be(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        machine = Script()
        at = rig.at()
        due_ms = slot_start_ms(rig.genesis, 8)
        rig.driver.open(at, [machine], [fx.SetTimer("expiry", due_ms)])
        assert (await machine.has_seen(1))[0] == ev.TimerFired("expiry")
        assert abs(machine.times_ms[0] - due_ms) <= 20
        with pytest.raises(AssertionError, match="cannot start"):
            rig.driver.open(at, [machine], [fx.Publish(at, fx.Step.DEALT)])


async def test_fetch__keeps_before_it_tells_and_asks_nobody_for_its_own(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        name, other = digest_of(BLOB), rig.people[1].key
        rig.exchange.held_by[other] = {name: BLOB}
        sources = (rig.host.public_key, other)
        machine = Script(
            [fx.Fetch(name, len(BLOB), sources, fx.Purpose.REVEAL)],
            lambda event: [] if rig.kept == [BLOB] else AssertionError("told before it was kept"),
        )
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        assert (await machine.has_seen(2))[1] == ev.Fetched(name, BLOB)
        assert rig.driver.is_open(rig.at())
        assert rig.exchange.fetched == [(name, (other,))]


async def test_fetch_of_what_nobody_has__says_unavailable(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        name, other = digest_of(BLOB), rig.people[1].key
        machine = Script([fx.Fetch(name, len(BLOB), (other,), fx.Purpose.REVEAL)])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        assert (await machine.has_seen(2))[1] == ev.Unavailable(name, (other,))


async def test_fetch_that_the_own_disk_refuses__costs_the_round_and_accuses_nobody(
    tmp_path: Path, role: Role
) -> None:
    async with running(tmp_path, role) as rig:
        rig.exchange.put(BLOB)
        rig.keep_error = StoreError("the disk is full")
        machine = Script([fx.Fetch(digest_of(BLOB), len(BLOB), (rig.people[1].key,), fx.Purpose.REVEAL)])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        with trio.fail_after(10):
            while rig.driver.is_open(rig.at()):  # noqa: ASYNC110 (closing a round makes no sound)
                await trio.sleep(0.1)
        assert len(machine.events) == 1


async def test_model_that_fails__answers_nothing_and_harms_nobody(tmp_path: Path, role: Role) -> None:
    async def encode(at: ShardRound, wave: int, texts: Sequence[str]) -> bytes:
        if wave == 1:
            raise ZeroDivisionError("anybody's code")
        return BLOB

    role.encode = encode
    async with running(tmp_path, role) as rig:
        machine = Script([fx.Encode(1, ("a",)), fx.Encode(2, ("b",))])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        events = (await machine.has_seen(3))[1:]
        assert sorted(events, key=str) == [ev.Encoded(1, b""), ev.Encoded(2, BLOB)]


async def test_scoring__comes_back_as_an_event_or_as_its_failure(tmp_path: Path, role: Role) -> None:
    scores = cast(ScoredShard, "scores")
    worst = (Deviation("score", b"", 7),)
    works = [True]

    async def score(task: ScoreTask) -> ScoredShard:
        if not works[0]:
            raise ScoringUnavailable("no memory")
        return scores

    async def compare(task: ScoreTask, claimed: ScoredShard) -> tuple[Deviation, ...]:
        if not works[0]:
            raise ScoringUnavailable("no memory")
        return worst

    role.score, role.compare = score, compare
    async with running(tmp_path, role) as rig:
        ask: list[fx.Effect] = [fx.Score(TASK), fx.Recompute(TASK, scores)]
        machine = Script(ask)
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        events = (await machine.has_seen(3))[1:]
        assert ev.Scored(scores) in events
        assert ev.Recomputed(worst) in events
        works[0] = False
        machine.replies.append(ask)
        await rig.driver.tell(rig.at(), ev.TimerFired("go"))
        assert (await machine.has_seen(6))[4:] == [ev.ScoringFailed("no memory")] * 2


async def test_send__tries_again_and_gives_up_without_harm(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        deaf, hard_of_hearing = rig.people[1].key, rig.people[2].key

        async def answer(key: bytes, method: str, payload: bytes) -> bytes:
            tries = sum(asked == key for asked, _, _ in rig.host.requested)
            if key == deaf or tries < SEND_TRIES:
                raise RequestError(key, method, "the connection ended")
            return b"accept"

        rig.host.answer = answer
        machine = Script([fx.Send(rig.attestation(), (deaf, hard_of_hearing))])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        await machine.has_seen(1)
        await trio.sleep(60)
        asked = [(key, method) for key, method, _ in rig.host.requested]
        assert asked.count((deaf, STATEMENT_METHOD)) == SEND_TRIES
        assert asked.count((hard_of_hearing, STATEMENT_METHOD)) == SEND_TRIES
        assert rig.host.counters["driver.unsent"] == 1
        assert rig.host.published == []


async def test_broadcast__is_also_handed_to_those_it_concerns(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        to = rig.people[1].key
        machine = Script([fx.Broadcast(rig.attestation(), (to,))])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        await machine.has_seen(2)
        await trio.sleep(1)
        ((_, data),) = rig.host.published
        assert (to, STATEMENT_METHOD, data) in rig.host.requested


async def test_task_with_a_fault__is_survived_and_counted(tmp_path: Path, role: Role) -> None:
    async def compare(task: ScoreTask, claimed: ScoredShard) -> tuple[Deviation, ...]:
        raise ZeroDivisionError

    role.compare = compare
    async with running(tmp_path, role) as rig:
        machine = Script([fx.Recompute(TASK, cast(ScoredShard, "claim"))])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        await machine.has_seen(1)
        await trio.sleep(1)
        await rig.driver.tell(rig.at(), ev.TimerFired("again"))
        await machine.has_seen(2)
        assert rig.host.counters["driver.faults"] == 1


async def test_peer_that_goes__is_told_to_every_open_round(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        machines = [Script(), Script()]
        for round_, machine in enumerate(machines, start=4):
            rig.open(machine, round_=round_)
        rig.driver.peer_gone(b"k" * 32)
        for machine in machines:
            assert await machine.has_seen(1) == [ev.PeerGone(b"k" * 32)]


async def test_penalty_and_publication__reach_host_and_role(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        machine = Script([fx.Penalise(b"k" * 32, "lied"), fx.Publish(rig.at(), fx.Step.VOID)])
        await rig.driver.tell(rig.open(machine), ev.TimerFired("go"))
        await machine.has_seen(1)
        await trio.sleep(0.1)
        assert rig.host.penalties == [(b"k" * 32, node.driver.PENALTY_COST, "lied")]
        assert "step void" in rig.said


async def test_slow_disk_of_a_fetch__holds_up_no_other_event(tmp_path: Path, role: Role) -> None:
    async with running(tmp_path, role) as rig:
        name = rig.exchange.put(BLOB)
        slow = Script([fx.Fetch(name, len(BLOB), (), fx.Purpose.REVEAL)])
        quick = Script()
        await rig.driver.tell(rig.open(slow, round_=4), ev.TimerFired("go"))
        await slow.has_seen(1)
        await rig.driver.tell(rig.open(quick, round_=5), ev.TimerFired("go"))
        await quick.has_seen(1)
        assert len(slow.events) == 1
        await slow.has_seen(2)
