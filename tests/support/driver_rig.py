"""A driver over fakes with a real signer, machines that follow a script, and what happened, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio
import trio.testing

from node.driver import Driver, Role
from node.signer import Signer
from node.statements import Statements
from node.store import StoreError
from protocol.genesis import Genesis
from protocol.messages import Attestation
from protocol.rounds import effects as fx
from protocol.rounds import events as ev
from protocol.schedule import ShardRound, shard_round
from protocol.statement import parse
from tests.support.epochs import epochs_of
from tests.support.fakes import FakeExchange, FakeHost
from tests.support.genesis import small_network
from tests.support.memory_network import Identity

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


def role_in_parts() -> Role:
    """A role of which tests and `running` replace parts."""

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
