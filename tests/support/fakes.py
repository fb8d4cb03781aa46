"""Stand-ins for the edges of a node: a host without a network, and a clock that does not wait."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest
import trio
import trio.testing

from node.network.counters import Counters
from node.network.errors import DialError, FetchError, RequestError
from node.network.exchange import digest_of
from node.network.host import Host, OnPeer, PeerConnected, PeerGone, PeerInfo
from node.network.identity import parse_address
from node.network.limits import NetworkLimits

Result = TypeVar("Result")
Handler = Callable[[bytes, bytes], Awaitable[bytes]]
Answer = Callable[[bytes, str, bytes], Awaitable[bytes]]


async def nobody(key: bytes, method: str, payload: bytes) -> bytes:
    """Nobody answers."""
    raise RequestError(key, method, "not connected to this peer")


@dataclass
class FakeHost:
    """What modules above the network ask of a host; records what is said, answers as told."""

    public_key: bytes
    answer: Answer = nobody
    addresses: tuple[str, ...] = ()
    counters: Counters = field(default_factory=Counters)
    limits: NetworkLimits = field(default_factory=NetworkLimits)
    handlers: dict[str, Handler] = field(default_factory=dict)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    requested: list[tuple[bytes, str, bytes]] = field(default_factory=list)
    penalties: list[tuple[bytes, float, str]] = field(default_factory=list)
    maintained: list[tuple[str, ...]] = field(default_factory=list)
    connected: dict[bytes, PeerInfo] = field(default_factory=dict)
    on_publish: Callable[[bytes], None] = lambda _: None
    _on_peer: list[OnPeer] = field(default_factory=list)

    @property
    def host(self) -> Host:
        """This, where a Host belongs."""
        return cast(Host, self)

    def handle(self, method: str, handler: Handler, **_: int) -> None:
        self.handlers[method] = handler

    def share(self, _: bytes) -> float:
        return 1.0

    def peers(self) -> tuple[PeerInfo, ...]:
        return tuple(self.connected.values())

    def is_connected(self, key: bytes) -> bool:
        return key in self.connected

    def on_peer(self, callback: OnPeer) -> None:
        self._on_peer.append(callback)

    def connect(self, *keys: bytes, address: str = "/ip4/10.0.0.1/tcp/4001") -> None:
        for key in keys:
            self.connected[key] = PeerInfo(key, address, True, 0)
            for callback in self._on_peer:
                callback(PeerConnected(key))

    def disconnect(self, key: bytes) -> None:
        del self.connected[key]
        for callback in self._on_peer:
            callback(PeerGone(key))

    def penalise(self, key: bytes, cost: float, reason: str) -> None:
        self.penalties.append((key, cost, reason))

    def maintain(self, addresses: Iterable[str]) -> None:
        wanted = tuple(addresses)
        for address in wanted:
            parse_address(address)  # as the real one: DialError for what nobody can dial
        self.maintained.append(wanted)

    async def publish(self, topic: str, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.on_publish(data)
        self.published.append((topic, data))

    async def request(self, key: bytes, method: str, payload: bytes, *, timeout_s: float, **_: Any) -> bytes:
        self.requested.append((key, method, payload))
        try:
            with trio.fail_after(timeout_s):
                return await self.answer(key, method, payload)
        except trio.TooSlowError:
            raise RequestError(key, method, "no answer in time") from None


@dataclass
class FakeExchange:
    """Blobs by who has them."""

    blobs: dict[bytes, bytes] = field(default_factory=dict)
    held_by: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    fetched: list[tuple[bytes, tuple[bytes, ...]]] = field(default_factory=list)

    def put(self, data: bytes) -> bytes:
        self.blobs[digest_of(data)] = data
        return digest_of(data)

    def get(self, digest: bytes) -> bytes | None:
        return self.blobs.get(digest)

    def has(self, digest: bytes) -> bool:
        return digest in self.blobs

    def forget(self, digest: bytes) -> None:
        self.blobs.pop(digest, None)

    async def fetch(self, digest: bytes, size_bytes: int, sources: Iterable[bytes]) -> bytes:
        self.fetched.append((digest, tuple(sources)))
        await trio.lowlevel.checkpoint()
        for blobs in (self.blobs, *(self.held_by.get(source, {}) for source in self.fetched[-1][1])):
            if digest in blobs:
                return blobs[digest]
        raise FetchError(digest, ("blob is not here",))


@dataclass
class VirtualClock:
    """Wall clock and trio's clock in step, from `start_ms` on."""

    trio_clock: trio.testing.MockClock
    start_ms: int
    set_back_ms: int = 0

    @property
    def now_ms(self) -> int:
        return self.start_ms - self.set_back_ms + round(self.trio_clock.current_time() * 1000)


def virtual_clock(monkeypatch: pytest.MonkeyPatch, start_ms: int) -> VirtualClock:
    """A clock that jumps whenever nobody has anything to do; threads are done without, for it sees none."""
    clock = VirtualClock(trio.testing.MockClock(autojump_threshold=0), start_ms)
    monkeypatch.setattr(time, "time_ns", lambda: clock.now_ms * 1_000_000)
    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    return clock


async def at_once(function: Callable[..., Result], *args: Any, **_: Any) -> Result:
    """What a thread would do, here and now."""
    await trio.lowlevel.checkpoint()
    return function(*args)


__all__ = ["DialError", "FakeExchange", "FakeHost", "VirtualClock", "nobody", "virtual_clock"]
