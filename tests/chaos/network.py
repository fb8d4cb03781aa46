"""A small network of real processes for tests: planned, started, watched by polling its stores, stopped."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from config.genesis import save_genesis
from node.clock import now_ms
from node.keys import load_key
from node.membership import assemble_genesis
from node.status import NodeStatus, StatusError, read_status
from node.store import Access, RoundRecord, StepRecord, Store, StoreError
from node.testnet.fleet import Fleet, command_line
from node.testnet.plan import NodePlan, TestnetPlan, Wanted, plan_testnet
from node.testnet.watch import RoundView, Watcher
from protocol.codec import decode
from protocol.genesis import Genesis
from protocol.messages import Certificate
from protocol.schedule import round_at
from tests.chaos.listener import Listener
from tests.chaos.text import write_long_text

LOOK_EVERY_S = 0.2
GONE_WITHIN_S = 10.0
START_LEAD_MS = 10_000
CERTIFICATE_BYTES_MAX = 8 << 20
MARKER = "CHAOS_TEST_RUN"
"""Environment variable by which the processes of one run are found again, and their children too."""
ENCODER_STAKE = 1_000_000
GENESES_MAX = 10_000
OBSERVER_STAKE = 1
"""So little that an observer is as good as never drawn: nobody waits for its answers."""


@dataclass(frozen=True)
class Shape:
    """Who is in the network. Two thirds of the validators' stake make a quorum."""

    stakes: tuple[int, ...] = (100, 100, 100, 100)
    """One validator each."""
    encoders: int = 4
    observers: int = 1
    """Members with an encoder's key that run no encoder: the listener, attackers."""
    slot_ms: int = 8_000
    masks: int = 1
    """An item. Two, as in the preset, are 324 vectors an encoder and not 195: slower, and no more chaos."""
    seed: int = 1
    changes: Mapping[str, int] = field(default_factory=dict)
    """Other parameters of the network that are unlike the preset's."""
    suits: Callable[[Genesis], bool] = lambda _: True
    """Whether the draws that follow from a genesis are those a test needs; else another one is drawn."""


def plan_network(root: Path, shape: Shape, text: Path) -> tuple[TestnetPlan, tuple[NodePlan, ...]]:
    """A planned network and its observers, which are members but no part of the plan."""
    total = shape.encoders + shape.observers
    drawn = plan_testnet(root, Wanted(len(shape.stakes), total, 0, (), text, shape.seed))
    acting, observers = drawn.encoders[: shape.encoders], drawn.encoders[shape.encoders :]
    watching = {plan.public_key for plan in observers}
    content = drawn.genesis.content
    stakes = {plan.public_key: stake for plan, stake in zip(drawn.validators, shape.stakes, strict=True)}
    parameters = msgspec.structs.replace(
        content.parameters,
        slot_ms=shape.slot_ms,
        shard_size=shape.encoders,
        masks_per_item=shape.masks,
        wave_deadline_ms=shape.slot_ms // 2,
        reveal_deadline_ms=shape.slot_ms // 2,
        **shape.changes,
    )
    validators = [msgspec.structs.replace(m, stake=stakes[m.public_key]) for m in content.validators]
    encoders = [
        msgspec.structs.replace(m, stake=OBSERVER_STAKE if m.public_key in watching else ENCODER_STAKE)
        for m in content.encoders
    ]
    for _ in range(GENESES_MAX):
        start_ms, nonce = now_ms() + START_LEAD_MS, secrets.token_bytes(32)
        genesis = assemble_genesis(content.name, parameters, validators, encoders, start_ms, nonce)
        if shape.suits(genesis):
            break
    else:
        raise AssertionError(f"none of {GENESES_MAX} networks draws what the test needs")
    for plan in drawn.nodes:
        (plan.directory / "genesis.json").unlink()
        save_genesis(plan.directory / "genesis.json", genesis)
    (root / "genesis.json").unlink()
    save_genesis(root / "genesis.json", genesis)
    return TestnetPlan(root, genesis, drawn.validators, acting), observers


class Network:
    """A running network. Every wait has a deadline and says what it waited for."""

    def __init__(
        self, plan: TestnetPlan, observers: Sequence[NodePlan], fleet: Fleet, listener: Listener
    ) -> None:
        self.plan = plan
        self.observers = tuple(observers)
        self.fleet = fleet
        self.listener = listener
        self.watcher = Watcher(plan)
        self._by_name = {node.name: node for node in plan.nodes}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the validators listen."""
        return tuple(at for member in self.plan.genesis.validators.values() for at in member.addresses)

    def node(self, name: str) -> NodePlan:
        """The plan of a node."""
        return self._by_name[name]

    # -- looking -------------------------------------------------------------------------------------------

    def status(self, name: str) -> NodeStatus | None:
        """What the running process of a node says of itself; None before it does."""
        try:
            status = read_status(self.node(name).directory / "status.json")
        except StatusError:
            return None
        # What a killed one said last still lies there.
        return status if status is not None and status.pid == self.fleet.pid(name) else None

    def events(self, name: str, event: str = "") -> list[dict[str, Any]]:
        """What a node logged over all its lives, oldest first."""
        path = self.node(name).directory / "logs" / "node.log"
        if not path.exists():
            return []
        found = []
        for line in path.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # the line a kill or a full disk cut short
                continue
            if not event or entry.get("event") == event:
                found.append(entry)
        return found

    @contextmanager
    def store(self, name: str) -> Iterator[Store | None]:
        """A validator's store, to read beside it; None while it is not there or not readable."""
        directory = self.node(name).directory
        try:
            store = Store.open(directory / "store.sqlite", directory / "blobs", access=Access.READ_ONLY)
        except StoreError:
            yield None
            return
        with store:
            yield store

    def certified(self, name: str, from_round: int = 0) -> dict[int, RoundRecord]:
        """The certified rounds a validator holds."""
        with self.store(name) as store:
            records = store.certified_since(from_round, 10_000) if store is not None else []
        return {record.round: record for record in records}

    def attesters(self, round_: int) -> set[str]:
        """Whose attestations the certificate of a round holds, by name."""
        names = {plan.public_key: plan.name for plan in self.plan.validators}
        found: set[str] = set()
        for name in names.values():
            record = self.certified(name, round_).get(round_)
            if record is not None and record.certificate is not None:
                votes = decode(record.certificate, Certificate, size_bytes_max=CERTIFICATE_BYTES_MAX)
                found |= {names[vote.validator] for vote in votes.attestations}
        return found

    def steps(self, name: str, round_: int) -> list[StepRecord]:
        """The steps a validator wrote down for a round."""
        with self.store(name) as store:
            return store.steps(round_, 0) if store is not None else []

    def round_now(self) -> int:
        """The round whose slot runs."""
        return round_at(self.plan.genesis, now_ms())

    def view(self, round_: int) -> RoundView:
        """A round as it stands in the stores."""
        return self.watcher.round(round_)

    # -- waiting -------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """The first true value of a condition. Fails with the state of the network after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}\n{self.picture()}"
            time.sleep(LOOK_EVERY_S)

    def until_certified(self, name: str, count: int, from_round: int, timeout_s: float = 90.0) -> list[int]:
        """Wait until a validator holds `count` certified rounds from a round on; their numbers."""
        self.until(
            lambda: len(self.certified(name, from_round)) >= count,
            timeout_s,
            f"{name} holds {count} certified rounds from {from_round} on",
        )
        return sorted(self.certified(name, from_round))

    def until_mid_round(self, dealers: Iterable[str], timeout_s: float = 90.0) -> RoundView:
        """Wait for a round dealt by one of `dealers` whose first wave is locked and which is not reported."""
        keys = {self.node(name).public_key for name in dealers}

        def caught() -> RoundView | None:
            view = self.view(self.round_now())
            running = view.dealt and view.dealer in keys and view.score_ms is None
            return view if running and 1 in view.wave_ms and view.certified_ms is None else None

        found = self.until(caught, timeout_s, "a round is past its first wave")
        assert isinstance(found, RoundView)
        return found

    # -- judging -------------------------------------------------------------------------------------------

    def assert_nobody_said_two_things(self) -> None:
        """No evidence in any store or in gossip, and none in what the listener heard."""
        for plan in self.plan.validators:
            with self.store(plan.name) as store:
                assert store is not None, f"{plan.name} has no store"
                assert store.evidence() == [], f"{plan.name} holds evidence"
        assert self.listener.statements(), "the listener heard nothing"
        assert self.listener.accusations() == []
        assert self.listener.said_twice() == {}

    def picture(self) -> str:
        """Where everybody is, for the message of a failed test."""
        lines = [f"round {self.round_now()}; fallen: {self.fleet.fallen()}"]
        for plan in self.plan.nodes:
            status = self.status(plan.name)
            peers = "not running" if status is None else f"{len(status.peers)} peers"
            held = sorted(self.certified(plan.name)) if plan.role == "validator" else ""
            lines.append(f"{plan.name}: {peers} {held}")
            lines.append(self.fleet.last_words(plan.name, 3))
        return "\n".join(lines)


@contextmanager
def running_network(
    root: Path,
    shape: Shape,
    command: Callable[[NodePlan], list[str]] = command_line,
    prepare: Callable[[TestnetPlan], None] = lambda _: None,
    wait_for: Sequence[str] = (),
    write_text: Callable[[Path], Path] = write_long_text,
) -> Iterator[Network]:
    """A network from its start to its end; afterwards no process of it is left.

    `prepare` may change the planned directories, `write_text` has the challenge items. `wait_for` names the
    nodes that must run first, by default all of them.
    """
    text = write_text(root / "text.txt")
    plan, observers = plan_network(root / "net", shape, text)
    prepare(plan)
    run = secrets.token_hex(8)
    with ExitStack() as stack:
        stack.callback(assert_nothing_runs, run)
        stack.callback(os.environ.pop, MARKER, None)
        os.environ[MARKER] = run
        fleet = stack.enter_context(Fleet(plan.nodes, command))
        fleet.start_all()
        seed = load_key(observers[0].directory / "key").seed
        addresses = [at for member in plan.genesis.validators.values() for at in member.addresses]
        listener = stack.enter_context(Listener(plan.genesis, seed, addresses))
        network = Network(plan, observers, fleet, listener)
        stack.callback(network.watcher.close)
        awaited = set(wait_for) or {node.name for node in plan.nodes}
        network.until(
            lambda: awaited & fleet.fallen().keys() or all(network.status(name) for name in awaited),
            90.0,
            "the nodes run",
        )
        assert not awaited & fleet.fallen().keys(), network.picture()
        yield network


def processes_of(run: str) -> list[psutil.Process]:
    """The living processes whose environment carries the run's marker, this one left out."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARKER) == run:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def assert_nothing_runs(run: str, within_s: float = GONE_WITHIN_S) -> None:
    """Fail when a process of the run is still there after `within_s`; end it all the same."""
    deadline_s = time.monotonic() + within_s
    left = processes_of(run)
    while left and time.monotonic() < deadline_s:
        time.sleep(LOOK_EVERY_S)
        left = processes_of(run)
    told = [(process.pid, " ".join(process.cmdline())) for process in left if process.is_running()]
    for process in left:
        process.kill()
    assert not told, f"still running: {told}"
