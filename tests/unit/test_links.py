"""An encoder's connections to validators, over many slots of virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from node.links import LEAD_MS_MAX, PATIENCE_S, RETRY_S, Links
from node.network.errors import DialError
from node.network.host import PeerInfo
from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch
from protocol.hashing import digest
from protocol.neighbours import MEETING_SLOTS, counterparts, fetchers, meetings, standing_order
from protocol.schedule import round_at
from tests.support.genesis import small_network

GENESIS, VALIDATORS, ENCODERS = small_network(validators=9, encoders=12, shard_size=3)
EPOCH = Epoch.first(GENESIS)
ME = ENCODERS[9].key  # in the shards of rounds 0, 3, 6 and 12
SLOT_S = GENESIS.parameters.slot_ms / 1000
WANTED = 2
ROUNDS = GENESIS.parameters.epoch_rounds
ORDER = standing_order(EPOCH, ME)


@dataclass
class FakeHost:
    """Connects at once to whoever is up."""

    public_key: bytes = ME
    connected: set[bytes] = field(default_factory=set)
    inbound: set[bytes] = field(default_factory=set)
    down: set[bytes] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    dials: list[str] = field(default_factory=list)
    closed: list[bytes] = field(default_factory=list)

    def is_connected(self, key: bytes) -> bool:
        return key in self.connected

    def peers(self) -> tuple[PeerInfo, ...]:
        return tuple(PeerInfo(key, "", key not in self.inbound, 0) for key in sorted(self.connected))

    async def dial(self, address: str) -> bytes:
        self.dials.append(address)
        if address in self.silent:
            await trio.sleep_forever()
        await trio.sleep(0.01)
        key = bytes.fromhex(address.partition("/")[0])
        if key in self.down:
            raise DialError(address, "connection refused")
        self.connected.add(key)
        return key

    async def disconnect(self, key: bytes) -> None:
        self.closed.append(key)
        self.connected.discard(key)


@dataclass
class FakeBook:
    """Keeps connected whom it is told to, as soon as they are up."""

    host: FakeHost
    given: frozenset[bytes] = frozenset()
    kept: frozenset[bytes] = frozenset()
    addresses: int = 1

    def keep_only(self, keys: Iterable[bytes]) -> None:
        self.kept = frozenset(keys)
        self.host.connected |= self.kept - self.host.down

    def addresses_of(self, key: bytes) -> tuple[str, ...]:
        return tuple(f"{key.hex()}/{number}" for number in range(self.addresses))


def drive(
    slots: float,
    look: Callable[[FakeHost, FakeBook, int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[FakeHost, FakeBook, Epochs], None] = lambda *_: None,
    every_s: float = 1.0,
) -> FakeHost:
    """Run links from the middle of the slot before the first; look at them every second: clock, round."""
    host, epochs = FakeHost(), Epochs(GENESIS)
    book = FakeBook(host)
    prepare(host, book, epochs)

    async def run() -> None:
        base_s = trio.current_time()
        start_ms = GENESIS.content.genesis_time_ms - int(SLOT_S * 500)

        def now_ms() -> int:
            return start_ms + int((trio.current_time() - base_s) * 1000)

        monkeypatch.setattr("node.links.now_ms", now_ms)
        links: Any = Links(epochs, host, book, WANTED)  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.run)
            for _ in range(int(slots * SLOT_S / every_s)):
                await trio.sleep(every_s)
                look(host, book, now_ms(), round_at(GENESIS, now_ms()))
            nursery.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))
    return host


def met_in(round_: int) -> frozenset[bytes]:
    """Dealers and witnesses."""
    if round_ < 0:
        return frozenset()
    return frozenset().union(*(counterparts(EPOCH, at, ME) for at in meetings(EPOCH, round_)))


def fetching_in(round_: int) -> frozenset[bytes]:
    """All that fetch the answers."""
    if round_ < 0:
        return frozenset()
    return frozenset().union(*(fetchers(EPOCH, at, ME) for at in meetings(EPOCH, round_)))


def test_counterparts__are_connected_all_through_the_slot_and_until_its_round_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds_met = [round_ for round_ in range(ROUNDS) if met_in(round_) - set(ORDER[:WANTED])]
    assert 1 <= len(rounds_met) < ROUNDS

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        for one in range(max(0, round_ - MEETING_SLOTS), round_ + 1):
            assert met_in(one) <= host.connected, (one, round_)
        into_slot_ms = (clock_ms - GENESIS.content.genesis_time_ms) % GENESIS.parameters.slot_ms
        if into_slot_ms > 5_000:
            assert fetching_in(round_) <= host.connected

    drive(ROUNDS, look, monkeypatch)


def test_connections__are_the_standing_and_those_of_its_shards_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: set[int] = set()

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        coming = round_at(GENESIS, clock_ms + LEAD_MS_MAX)
        # What is closed is closed a moment later.
        lasting = range(max(0, round_ - MEETING_SLOTS - 1), round_ + 1)
        expected = set(ORDER[:WANTED]).union(*map(fetching_in, lasting)) | met_in(coming)
        assert host.connected <= expected
        assert set(ORDER[:WANTED]) <= host.connected
        seen.add(len(host.connected))

    host = drive(ROUNDS, look, monkeypatch)
    assert not set(host.closed) & set(ORDER[:WANTED])
    assert WANTED in seen, "connections are dropped when they are idle"
    assert len(seen) > 1


def test_connection__that_the_other_side_opened_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = ORDER[-1]

    def prepare(host: FakeHost, book: FakeBook, epochs: Epochs) -> None:
        host.connected.add(visitor)
        host.inbound.add(visitor)

    host = drive(1, lambda *_: None, monkeypatch, prepare)
    assert visitor not in host.closed


def test_standing_validator__out_of_reach_is_replaced_by_the_next_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, *others = ORDER
    history: list[frozenset[bytes]] = []

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        history.append(book.kept)

    def prepare(host: FakeHost, book: FakeBook, epochs: Epochs) -> None:
        host.down.add(first)

    drive((PATIENCE_S + RETRY_S + 10) / SLOT_S, look, monkeypatch, prepare)
    assert history[0] == {first, others[0]}
    assert history[int(PATIENCE_S) + 2] == {others[0], others[1]}
    assert first in history[-1]


def test_all_validators_out_of_reach__are_kept_on_being_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(host: FakeHost, book: FakeBook, epochs: Epochs) -> None:
        host.down |= set(ORDER)

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        assert len(book.kept) == WANTED

    drive(15, look, monkeypatch, prepare, every_s=5.0)


def test_validator_the_operator_named__stays_until_as_many_as_wanted_are_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = ORDER[-1]
    kept: list[bool] = []

    def prepare(host: FakeHost, book: FakeBook, epochs: Epochs) -> None:
        book.given = frozenset([named])
        host.down |= set(ORDER) - {named}

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        kept.append(named in book.kept)
        if len(kept) == 5:
            host.down.clear()

    drive(1, look, monkeypatch, prepare)
    assert kept[:5] == [True] * 5
    assert not kept[-1]


def test_address_that_swallows_everything__leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    round_met = next(round_ for round_ in range(ROUNDS) if met_in(round_) - set(ORDER[:WANTED]))
    slow = sorted(met_in(round_met) - set(ORDER[:WANTED]))[0]
    late: list[int] = []

    def prepare(host: FakeHost, book: FakeBook, epochs: Epochs) -> None:
        book.addresses = 2
        host.silent.add(f"{slow.hex()}/0")

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        if round_ == round_met and slow in host.connected:
            late.append(clock_ms)

    drive(round_met + 1.5, look, monkeypatch, prepare, every_s=0.5)
    began_ms = GENESIS.content.genesis_time_ms + round_met * GENESIS.parameters.slot_ms
    assert late[0] - began_ms <= 1_000


def test_standing_validators__change_with_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    record = msgspec.structs.replace(
        EPOCH.record, epoch=1, previous=EPOCH.digest, seed=digest("another seed")
    )
    later = Epoch(GENESIS, record, EPOCH.table)
    chosen = standing_order(later, ME)[:WANTED]
    assert set(chosen) != set(ORDER[:WANTED])
    known: list[Epochs] = []

    def look(host: FakeHost, book: FakeBook, clock_ms: int, round_: int) -> None:
        if round_ == 0 and known[0].newest.number == 0:
            known[0].add(later)
        elif round_ >= 1:
            assert book.kept == set(chosen)

    drive(3, look, monkeypatch, lambda host, book, epochs: known.append(epochs))
