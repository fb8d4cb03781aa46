"""Budgets by share, between real hosts: who is new is slowed down sooner, and served all the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from node.epochs.peer_share import SHARE_MIN, share_now
from node.network.errors import DialError
from node.network.exchange import MemoryBlobs, StreamExchange
from node.network.host import Host
from node.network.limits import MIB, NetworkLimits
from protocol.epochs.known import Epochs
from tests.network.peers import hosts, until
from tests.support.genesis import small_network

pytestmark = pytest.mark.anyio
LIMITS = NetworkLimits(requests_per_s=20, requests_burst=100)
"""The least share: 25 at once, then 5 a second."""


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@asynccontextmanager
async def three(limits: NetworkLimits) -> AsyncIterator[tuple[Host, Host, Host, dict[bytes, float]]]:
    """A host, one that it thinks well of, a newcomer, and what it thinks."""
    shares: dict[bytes, float] = {}

    def share(key: bytes) -> float:
        return shares.get(key, 1.0)

    async with hosts(3, limits, share=share) as (server, known, new):
        shares[new.public_key] = SHARE_MIN
        for one in (known, new):
            await one.dial(server.addresses[0])
        await until(lambda: len(server.peers()) == 2)
        yield server, known, new, shares


async def answer(_: bytes, payload: bytes) -> bytes:
    return payload


async def ask_many(asker: Host, server: Host, count: int) -> int:
    """How many of so many requests the server made wait, and all were answered."""
    before = server.counters.get("rpc.slowed", 0)

    async def ask() -> None:
        assert await asker.request(server.public_key, "echo", b"x", timeout_s=20) == b"x"

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
    return server.counters.get("rpc.slowed", 0) - before


async def test_newcomer__is_slowed_down_sooner_and_answered_all_the_same() -> None:
    async with three(LIMITS) as (server, known, new, _):
        server.handle("echo", answer, request_bytes_max=8, response_bytes_max=8)
        assert await ask_many(known, server, 90) == 0
        assert await ask_many(new, server, 20) == 0
        assert await ask_many(new, server, 15) > 0


async def test_share_that_changes__counts_at_once_for_who_is_connected() -> None:
    async with three(LIMITS) as (server, known, new, shares):
        server.handle("echo", answer, request_bytes_max=8, response_bytes_max=8)
        assert await ask_many(known, server, 10) == 0
        shares[known.public_key] = SHARE_MIN  # exposed, in the record of a new epoch
        assert await ask_many(known, server, 35) > 0
        assert await ask_many(new, server, 1) == 0
        shares[new.public_key] = 1.0
        assert await ask_many(new, server, 1) == 0
        rate = server._requests._rates[new.public_key]
        assert (rate.rate_per_s, rate.burst) == (LIMITS.requests_per_s, LIMITS.requests_burst)


async def test_bytes_of_blobs__are_granted_by_share() -> None:
    async with three(NetworkLimits(blob_bytes_per_peer_per_s=4 * MIB)) as (server, known, new, _):
        blobs = StreamExchange(server, MemoryBlobs(64 * MIB))
        digest = blobs.put(bytes(2 * MIB))
        for asker, slowed in ((known, 0), (new, 1)):
            there = StreamExchange(asker, MemoryBlobs(64 * MIB))
            assert await there.fetch(digest, 2 * MIB, [server.public_key]) == bytes(2 * MIB)
            assert server.counters.get("blob.slowed", 0) == slowed


async def test_places__are_kept_for_the_well_reputed_and_some_are_left_for_newcomers() -> None:
    limits = NetworkLimits(connections_max=4, connections_reserved=0.7)
    shares: dict[bytes, float] = {}
    async with hosts(6, limits, share=lambda key: shares.get(key, 1.0)) as (server, *others):
        newcomers, known = others[:3], others[3:]
        shares.update({one.public_key: SHARE_MIN for one in newcomers})
        # 4 x (1 - 0.7 x 0.75) places are open to newcomers, not quite two, and all to the others.
        for turned_away, one in ((0, newcomers[0]), (0, newcomers[1]), (1, newcomers[2]), (1, known[0])):
            with suppress(DialError):
                await one.dial(server.addresses[0])
            await until(
                lambda one=one, turned_away=turned_away: (
                    server.counters.get("rejected.connection", 0) == turned_away
                    and (server.is_connected(one.public_key) or one is newcomers[2])
                )
            )
        await known[1].dial(server.addresses[0])
        await until(lambda: len(server.peers()) == 4)
        assert {one.public_key for one in server.peers()} == {
            one.public_key for one in (*newcomers[:2], *known[:2])
        }


async def test_record_of_the_newest_epoch__decides_what_a_host_grants() -> None:
    genesis, _, encoders = small_network(4, 4)
    share = partial(share_now, Epochs(genesis))
    async with hosts(2, LIMITS, share=share) as (server, stranger):
        server.handle("echo", answer, request_bytes_max=8, response_bytes_max=8)
        await stranger.dial(server.addresses[0])
        assert server.share(encoders[0].key) == 1.0
        assert await ask_many(stranger, server, 35) > 0
