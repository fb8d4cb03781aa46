"""Who a dealer waits for: in virtual time, with encoders that come when told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from node.network.host import OnPeer, PeerConnected
from node.roles.audience import ARRIVAL_MS_MAX, NEWCOMER_GRACE_S, Audience
from protocol.epochs.view import Epoch
from protocol.schedule import shard_of, shard_round, slot_start_ms
from tests.support.genesis import small_network

GENESIS, VALIDATORS, ENCODERS = small_network(validators=4, encoders=8, shard_size=5)
EPOCH = Epoch.first(GENESIS)
AT = shard_round(GENESIS, 4, 0)
SHARD = shard_of(EPOCH, AT)
ME = VALIDATORS[0].key
OTHERS = [one.key for one in VALIDATORS[1:]]
SLOT_S = GENESIS.parameters.slot_ms / 1000
ARRIVAL_S = min(ARRIVAL_MS_MAX / 1000, SLOT_S / 8)
PATIENCE_S = SLOT_S / 3
LONG_S = NEWCOMER_GRACE_S + 1


@dataclass
class FakeHost:
    """Connected to whom it is told."""

    public_key: bytes = ME
    connected: set[bytes] = field(default_factory=lambda: set(OTHERS))
    callbacks: list[OnPeer] = field(default_factory=list)

    def is_connected(self, key: bytes) -> bool:
        return key in self.connected

    def on_peer(self, callback: OnPeer) -> None:
        self.callbacks.append(callback)

    def connect(self, key: bytes) -> None:
        self.connected.add(key)
        for callback in self.callbacks:
            callback(PeerConnected(key))


def gathered(
    come_s: Mapping[bytes, float],
    up_for_s: float = LONG_S,
    prepare: Callable[[FakeHost, Audience], None] = lambda *_: None,
) -> tuple[bool, float, tuple[bytes, ...]]:
    """Whether there was an audience, after how many seconds of the slot, and who is not waited for."""

    async def run() -> tuple[bool, float, tuple[bytes, ...]]:
        host, base_s = FakeHost(), trio.current_time()
        slot_s = base_s + up_for_s

        def clock_ms() -> int:
            return slot_start_ms(GENESIS, AT.round) + round((trio.current_time() - slot_s) * 1000)

        audience = Audience(host, clock_ms)  # type: ignore[arg-type]
        prepare(host, audience)
        async with trio.open_nursery() as nursery:

            async def come(key: bytes, at_s: float) -> None:
                await trio.sleep_until(max(base_s, slot_s + at_s))
                host.connect(key)

            for key, at_s in come_s.items():
                nursery.start_soon(come, key, at_s)
            await trio.sleep_until(slot_s + 0.001)
            enough = await audience.gathers(EPOCH, AT)
            took_s = trio.current_time() - slot_s
            gone = audience.gone(EPOCH, AT)
            nursery.cancel_scope.cancel()
        return enough, took_s, gone

    return trio.run(run, clock=MockClock(autojump_threshold=0))


arrivals = st.dictionaries(st.sampled_from(SHARD), st.floats(-1.0, 8.0))


@settings(max_examples=60, deadline=None)
@given(arrivals)
def test_dealer__deals_when_all_are_here_or_enough_and_the_others_had_their_time(
    come_s: dict[bytes, float],
) -> None:
    enough, took_s, gone = gathered(come_s)
    present = sorted(come_s.values())
    needed = GENESIS.parameters.encoders_min
    third_s = present[needed - 1] if len(present) >= needed else PATIENCE_S
    all_s = present[-1] if len(present) == len(SHARD) else PATIENCE_S
    due_s = max(0.0, min(all_s, max(third_s, ARRIVAL_S)))
    assert abs(took_s - min(due_s, PATIENCE_S)) < 0.25
    assert enough == (len([s for s in present if s < took_s]) >= needed)
    here = {key for key, at_s in come_s.items() if at_s <= took_s}
    assert set(SHARD) - set(gone) == here


def test_dealer__goes_on_at_once_when_all_came_before_the_slot() -> None:
    enough, took_s, gone = gathered(dict.fromkeys(SHARD, -1.0))
    assert enough
    assert took_s < 0.1
    assert gone == ()


def test_encoder_that_did_not_come_the_last_time__is_not_waited_for() -> None:
    missing, *others = SHARD

    def prepare(host: FakeHost, audience: Audience) -> None:
        host.connected |= set(others)
        assert missing in audience._missing(EPOCH, AT)
        audience.gone(EPOCH, AT)

    _, first_s, _ = gathered(dict.fromkeys(others, -1.0))
    _, next_s, gone = gathered(dict.fromkeys(others, -1.0), prepare=prepare)
    assert first_s >= ARRIVAL_S
    assert next_s < 0.1
    assert gone == (missing,)


def test_absent_encoder__that_was_seen_again_is_waited_for_again() -> None:
    missing, *others = SHARD

    def prepare(host: FakeHost, audience: Audience) -> None:
        audience.gone(EPOCH, AT)
        host.connect(missing)
        host.connected.discard(missing)

    _, took_s, _ = gathered(dict.fromkeys(others, -1.0), prepare=prepare)
    assert took_s >= ARRIVAL_S


def test_node_that_has_just_started__waits_for_those_it_never_saw_and_gives_nobody_up() -> None:
    _, *others = SHARD
    enough, took_s, gone = gathered(dict.fromkeys(others, -0.5), up_for_s=1.0)
    assert enough
    assert took_s >= PATIENCE_S - 0.1
    assert gone == ()


def test_dealer_without_a_quorum_of_validators__does_not_deal() -> None:
    def prepare(host: FakeHost, audience: Audience) -> None:
        host.connected -= set(OTHERS[:2])

    enough, took_s, _ = gathered(dict.fromkeys(SHARD, -1.0), prepare=prepare)
    assert not enough
    assert took_s >= PATIENCE_S - 0.1


def test_tables__hold_encoders_of_the_epoch_only() -> None:
    held: list[Audience] = []

    def prepare(host: FakeHost, audience: Audience) -> None:
        held.append(audience)
        for number in range(500):
            host.connect(number.to_bytes(32, "big"))

    gathered(dict.fromkeys(SHARD, -1.0), prepare=prepare)
    assert held[0]._met <= EPOCH.encoders.keys()


def test_guests__are_not_remembered_once_the_node_has_started() -> None:
    async def run() -> tuple[int, int]:
        host = FakeHost()
        audience = Audience(host)  # type: ignore[arg-type]
        host.connect(b"early")
        await trio.sleep(LONG_S)
        early = len(audience._met)
        for number in range(1_000):
            host.connect(number.to_bytes(32, "big"))
        return early, len(audience._met)

    assert trio.run(run, clock=MockClock(autojump_threshold=0)) == (1, 1)
