"""The driver: effects in their order, one round's failure its own, nothing of its own lost."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

import node.driver
from node.driver import Role
from node.network.exchange import digest_of
from node.store import StoreError
from protocol.evidence import equivocation
from protocol.messages import Attestation, Body
from protocol.report import ScoreTask
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.signatures import sign
from protocol.statement import Statement, assemble, parse, statement_digest
from tests.support.driver_rig import Reply, Rig, Script, role_in_parts, running
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


async def test_statement_of_a_slot_that_begins_here_later__is_told_when_it_does(
    tmp_path: Path, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Clocks differ, and gossip says nothing twice.
    monkeypatch.setattr(node.driver, "EARLY_MAX", 2)
    async with running(tmp_path, role) as rig:
        statement = parse_signed(rig)
        at = statement.body.at
        rig.open(Script(), round_=at.round - 1)
        for _ in range(5):
            rig.driver.receive(statement)
        machine = Script()
        rig.open(machine, round_=at.round)
        assert await machine.has_seen(2) == [ev.Received(statement)] * 2
        # What is said of a round that is over is not kept.
        rig.driver.close_before(at.round + 1)
        rig.open(Script(), round_=at.round + 1)
        rig.driver.receive(statement)
        again = Script()
        rig.open(again, round_=at.round)
        await rig.driver.tell(at, ev.TimerFired("end"))
        assert await again.has_seen(1) == [ev.TimerFired("end")]


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


@pytest.mark.parametrize("heard", [True, False])
async def test_evidence__is_gossiped_by_members_of_the_accused_ones_epoch_only(
    tmp_path: Path, role: Role, heard: bool
) -> None:
    async with running(tmp_path, role) as rig:
        accused = rig.people[1]
        network_id, statements = rig.genesis.network_id, []
        for mark in (b"a", b"b"):
            body = rig.attestation(0, mark)
            name = statement_digest(network_id, accused.key, body)
            statements.append(assemble(network_id, accused.key, body, sign(accused.seed, name)))
        if not heard:
            rig.host.public_key = bytes(32)  # a stranger that waits for stake
        rig.driver.accuse(equivocation(*statements))
        await trio.testing.wait_all_tasks_blocked()
        assert ("published evidence" in rig.said) == heard
