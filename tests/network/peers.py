"""Hosts for tests, and the means to misbehave with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from node.network.host import Host, open_host
from node.network.identity import peer_id
from node.network.limits import NetworkLimits
from node.network.requests import PROTOCOL
from node.network.yamux import BoundedYamux
from protocol.verdict import Verdict

LOOPBACK = ["/ip4/127.0.0.1/tcp/0"]
TOPIC = "test/1"


def seed(number: int) -> bytes:
    """A distinct 32-byte identity seed."""
    return number.to_bytes(4, "big") * 8


@asynccontextmanager
async def hosts(count: int, limits: NetworkLimits | None = None, **options: Any) -> AsyncIterator[list[Host]]:
    """`count` listening hosts, not connected."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_host(seed(number + 1), LOOPBACK, limits=limits, **options))
            for number in range(count)
        ]


@asynccontextmanager
async def pair(limits: NetworkLimits | None = None) -> AsyncIterator[tuple[Host, Host]]:
    """Two connected hosts; the second dialled the first."""
    async with hosts(2, limits) as (first, second):
        await second.dial(first.addresses[0])
        await until(lambda: first.is_connected(second.public_key))
        yield first, second


async def until(condition: Callable[[], object], timeout_s: float = 8.0) -> None:
    """Wait for a condition on state that has no event."""
    with trio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def meshed(members: list[Host], topic: str = TOPIC) -> None:
    """Wait until every host has somebody to forward the topic to."""
    await until(lambda: all(host._router.mesh.get(topic) for host in members))


def accept(data: bytes, key: bytes) -> Verdict:
    """A validator without objections."""
    return Verdict.ACCEPT


def verdict(answer: Verdict) -> Callable[[bytes, bytes], Verdict]:
    """A validator with one opinion."""
    return lambda data, key: answer


async def collect(
    channel: trio.MemoryReceiveChannel[tuple[bytes, bytes]], count: int, timeout_s: float = 8.0
) -> list[bytes]:
    """The data of the next `count` deliveries, or of as many as come in time."""
    found: list[bytes] = []
    with trio.move_on_after(timeout_s):
        while len(found) < count:
            found.append((await channel.receive())[0])
    return found


async def raw_stream(attacker: Host, victim: Host, protocol: str) -> Any:
    """A stream on which the attacker may write whatever it likes."""
    return await attacker._libp2p.new_stream(peer_id(victim.public_key), [TProtocol(protocol)])


async def raw_gossip(attacker: Host, victim: Host) -> Any:
    """A bare gossip stream."""
    return await raw_stream(attacker, victim, str(PROTOCOL_ID_V11))


async def raw_requests(attacker: Host, victim: Host) -> Any:
    """A bare request stream."""
    return await raw_stream(attacker, victim, str(PROTOCOL))


def rpc_bytes(rpc: rpc_pb2.RPC) -> bytes:
    """An RPC as it travels."""
    return encode_varint_prefixed(rpc.SerializeToString())


def muxer_of(host: Host, other: Host) -> BoundedYamux:
    """The multiplexed connection of a host to another."""
    connection = host._swarm.connections[peer_id(other.public_key)][0]
    assert isinstance(connection.muxed_conn, BoundedYamux)
    return connection.muxed_conn


async def works(first: Host, second: Host) -> bool:
    """Whether a request from the second to the first is still answered."""

    async def echo(peer: bytes, payload: bytes) -> bytes:
        return payload

    first.handle("works", echo, request_bytes_max=16, response_bytes_max=16)
    return await second.request(first.public_key, "works", b"yes", timeout_s=5) == b"yes"
