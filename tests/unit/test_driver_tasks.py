"""What runs beside the driver (timers, fetching, embedding, scoring, sending) and comes back as an event."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from node.driver import SEND_TRIES, STATEMENT_METHOD, Role
from node.network.errors import RequestError
from node.network.exchange import digest_of
from node.scoring_worker import ScoringUnavailable
from node.store import StoreError
from protocol.report import Deviation, ScoredShard, ScoreTask
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, slot_start_ms
from tests.support.driver_rig import Script, role_in_parts, running
from tests.support.fakes import VirtualClock, virtual_clock

pytestmark = pytest.mark.anyio
BLOB = b"some answers"
TASK = cast(ScoreTask, "task")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, 1_000_000 + 5 * 20_000)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


@pytest.fixture
def role() -> Role:
    return role_in_parts()


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
