"""Who was banned by hand is cut off within a second, cannot come back, and may when the ban is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from config.datadir import DataDir
from node.bans import FILE_NAME, Ban, add_ban, lift_ban
from node.clock import now_ms
from node.network.errors import DialError
from node.network.host import Host
from node.roles.banning import Banning
from tests.network.peers import TOPIC, accept, hosts, meshed, pair, until, works

pytestmark = [pytest.mark.anyio, pytest.mark.network]


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    return DataDir.open(tmp_path, "localnet")


@asynccontextmanager
async def banning(directory: DataDir, host: Host) -> AsyncIterator[None]:
    """The node's own task, on a host."""
    async with trio.open_nursery() as nursery:
        one = Banning(directory, host)
        one.start()
        nursery.start_soon(one.run)
        yield
        nursery.cancel_scope.cancel()


def ban_of(who: str, length_ms: int | None = None) -> Ban:
    since_ms = now_ms()
    return Ban(who, since_ms, None if length_ms is None else since_ms + length_ms, "it was rude")


async def kept_out(one: Host, other: Host) -> None:
    """Neither of the two gets through to the other, whoever dials. The first is the one that refuses."""
    with pytest.raises(DialError, match="banned"):
        await one.dial(other.addresses[0])
    # Who still believes in an old connection would not dial.
    await until(lambda: not other.is_connected(one.public_key))
    with suppress(DialError):
        await other.dial(one.addresses[0])
    await until(lambda: not other.is_connected(one.public_key))
    assert not one.is_connected(other.public_key)


async def test_ban_in_the_file__cuts_a_connected_peer_off_until_it_is_lifted(directory: DataDir) -> None:
    async with pair() as (first, second), banning(directory, first):
        key = second.public_key.hex()
        add_ban(directory, ban_of(key), now_ms())
        await until(lambda: not first.is_connected(second.public_key))
        await kept_out(first, second)
        await until(lambda: first.counters.get("rejected.connection"))
        assert lift_ban(directory, key, now_ms())
        await until(lambda: not first.is_banned(second.public_key))
        await second.dial(first.addresses[0])
        assert await works(first, second)


async def test_ban_of_an_address__keeps_every_key_there_out(directory: DataDir) -> None:
    async with pair() as (first, second), banning(directory, first):
        add_ban(directory, ban_of("127.0.0.1"), now_ms())
        await until(lambda: not first.is_connected(second.public_key))
        await kept_out(first, second)
        await until(lambda: first.counters.get("rejected.address"))
        async with hosts(3) as (*_, third):
            await kept_out(first, third)
            assert not first.peers()


@pytest.mark.slow
async def test_ban__is_in_force_from_the_start_and_ends_by_itself(directory: DataDir) -> None:
    async with hosts(2) as (first, second):
        add_ban(directory, ban_of(second.public_key.hex(), length_ms=1_500), now_ms())
        async with banning(directory, first):
            assert first.is_banned(second.public_key)
            await kept_out(first, second)
            await until(lambda: not first.is_banned(second.public_key))
            await second.dial(first.addresses[0])
            assert await works(first, second)


async def test_file_damaged_meanwhile__changes_nothing(directory: DataDir) -> None:
    async with hosts(2) as (first, second):
        add_ban(directory, ban_of(second.public_key.hex()), now_ms())
        one = Banning(directory, first)
        one.start()
        (directory.root / FILE_NAME).write_bytes(b"\xff{")
        async with trio.open_nursery() as nursery:
            with capture_logs() as logged:
                nursery.start_soon(one.run)
                await until(lambda: [line["event"] for line in logged] == ["bans.unreadable"])
            nursery.cancel_scope.cancel()
        assert first.is_banned(second.public_key)


async def test_gossip_of_a_banned_peer__is_dropped_even_before_its_connection_ends() -> None:
    async with pair() as (first, second):
        channels = [await host.subscribe(TOPIC, accept) for host in (first, second)]
        await meshed([first, second])
        # As between the ban and the end of the connection.
        first._denied.set(frozenset({second.public_key}), frozenset())
        await second.publish(TOPIC, b"too late")
        await until(lambda: first.counters.get("gossip.dropped.banned"))
        with pytest.raises(trio.WouldBlock):
            channels[0].receive_nowait()


async def test_denied_set__forgets_who_is_denied_no_longer() -> None:
    async with hosts(1) as (host,):
        host.deny(frozenset({b"a" * 32}), frozenset({"192.0.2.1"}))
        host.deny(frozenset({b"b" * 32}), frozenset())
        assert [host.is_banned(key * 32) for key in (b"a", b"b")] == [False, True]
        assert not host._denied.has_ip("192.0.2.1")
