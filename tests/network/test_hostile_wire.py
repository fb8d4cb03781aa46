"""Peers that send garbage below the protocols: nothing ends, nothing grows, and it costs them."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

import pytest
import trio
from libp2p.network.stream.exceptions import StreamError
from libp2p.pubsub.pb import rpc_pb2
from libp2p.stream_muxer.yamux import yamux as wire

from node.network.frames import encode_header
from node.network.host import open_host
from node.network.limits import NetworkLimits
from node.network.yamux import BoundedYamux
from tests.network.peers import (
    LOOPBACK,
    TOPIC,
    accept,
    hosts,
    muxer_of,
    pair,
    raw_gossip,
    raw_requests,
    raw_stream,
    rpc_bytes,
    seed,
    until,
    works,
)

pytestmark = [pytest.mark.anyio, pytest.mark.network]
frame = BoundedYamux.frame
GARBAGE = random.Random(7).randbytes(2000)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x05\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xff\xff\xff\xff\x0f",
        b"\x00" + GARBAGE,
        rpc_bytes(rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid="t" * 1000)])),
        rpc_bytes(rpc_pb2.RPC(publish=[rpc_pb2.Message()] * 5000)),
    ],
    ids=["protobuf", "endless-length", "length-2^32-1", "noise", "topic-name", "too-many-entries"],
)
async def test_garbage_gossip__costs_the_peer_and_nothing_else(garbage: bytes) -> None:
    # By default one malformed protobuf ends the process.
    async with hosts(3) as (first, second, third):
        await first.subscribe(TOPIC, accept)
        await second.dial(first.addresses[0])
        await third.dial(first.addresses[0])
        stream = await raw_gossip(second, first)
        await stream.write(garbage)
        await until(lambda: first.penalty(second.public_key) > 0)
        assert await works(first, third)


@pytest.mark.parametrize("field", ["key", "signature", "from_id", "seqno"])
async def test_garbage_fields__are_a_bad_signature(field: str) -> None:
    # A key that does not parse is raised by the library, from a task of its own: the process ends.
    async with pair() as (first, second):
        await first.subscribe(TOPIC, accept)
        message = rpc_pb2.Message(
            data=b"x",
            topicIDs=[TOPIC],
            from_id=b"\x12\x20" + bytes(32),
            seqno=b"1",
            signature=b"s" * 64,
            key=b"k",
        )
        setattr(message, field, GARBAGE[:100])
        stream = await raw_gossip(second, first)
        await stream.write(rpc_bytes(rpc_pb2.RPC(publish=[message])))
        await until(lambda: first.penalty(second.public_key) > 0)
        assert await works(first, second)
        if field == "key":
            assert first.counters["gossip.dropped.bad_signature"] == 1
            assert not any(name.startswith("guarded.") for name in first.counters)


@pytest.mark.parametrize(
    "garbage",
    [
        frame(wire.TYPE_DATA, 0, 1, 2**32 - 1),
        frame(wire.TYPE_DATA, wire.FLAG_SYN, 9001, 2**31),
        frame(9, 0, 1, 0),
        frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_SYN, 9002, 0),
        frame(wire.TYPE_WINDOW_UPDATE, 0, 1, 2**32 - 1) * 2,
    ],
    ids=["oversize-data", "oversize-syn", "unknown-type", "our-stream-id", "window-overflow"],
)
async def test_yamux_violations__are_a_ban(garbage: bytes) -> None:
    async with pair() as (first, second):
        stream = await raw_requests(second, first)
        broken = garbage
        if len(garbage) == 24:
            broken = frame(wire.TYPE_WINDOW_UPDATE, 0, stream.muxed_stream.stream_id, 2**32 - 1) * 2
        muxer_of(second, first).send_control(broken)
        await until(lambda: first.is_banned(second.public_key) and not first.peers())
        assert first.counters["violation.yamux"] == 1


async def test_window__sending_more_than_granted_is_a_violation_not_memory() -> None:
    # The library only logs it, and buffers on.
    async with pair() as (first, second):

        async def never(peer: bytes, payload: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        first.handle("never", never, request_bytes_max=10, response_bytes_max=10)
        stream = await raw_requests(second, first)
        await stream.write(encode_header("never", 0, 0))
        stream.muxed_stream.send_window = 2**31
        victim = muxer_of(first, second)
        buffered = 0
        with trio.move_on_after(8), suppress(StreamError):
            while True:
                await stream.write(bytes(60_000))
                buffered = max(buffered, sum(map(len, victim.stream_buffers.values())))
        await until(lambda: first.is_banned(second.public_key))
        assert buffered <= first.limits.window_bytes + 256 * 1024


async def test_streams__more_than_allowed_are_reset_and_floods_are_a_ban() -> None:
    limits = NetworkLimits(inbound_streams_max=10, inbound_streams_per_s=50)
    async with pair(limits) as (first, second):
        attacker = muxer_of(second, first)
        for number in range(40):
            attacker.send_control(frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_SYN, 1001 + 2 * number, 0))
        await until(lambda: first.counters.get("rejected.stream", 0) >= 30)
        assert len(muxer_of(first, second).streams) <= 14
        for number in range(2000):
            attacker.send_control(frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_SYN, 9001 + 2 * number, 0))
        await until(lambda: first.is_banned(second.public_key))


async def test_ping_flood__that_never_reads_is_a_ban() -> None:
    async with pair() as (first, second):
        victim, attacker = muxer_of(first, second), muxer_of(second, first)

        async def stuck(data: bytes) -> None:
            await trio.sleep_forever()

        victim.secured_conn.write = stuck  # type: ignore[method-assign]
        for number in range(6000):
            attacker.send_control(frame(wire.TYPE_PING, wire.FLAG_SYN, 0, number))
        await until(lambda: first.is_banned(second.public_key))


async def test_peer_that_does_not_read__is_closed_after_the_stall() -> None:
    async with pair(NetworkLimits(write_stall_s=0.2)) as (first, second):

        async def stuck(data: bytes) -> None:
            await trio.sleep_forever()

        muxer_of(first, second).secured_conn.write = stuck  # type: ignore[method-assign]
        muxer_of(first, second).send_control(frame(wire.TYPE_PING, wire.FLAG_SYN, 0, 1))
        await until(lambda: not first.peers())


async def test_negotiation__endless_protocol_name_is_refused_by_its_length() -> None:
    async with pair() as (first, second):
        muxed = await muxer_of(second, first).open_stream()
        await muxed.write(b"\xff\xff\xff\xff\x7f" + GARBAGE)
        await until(lambda: muxed.closed or muxed.reset_received)
        assert await works(first, second)


@pytest.mark.parametrize(
    "line", [b"\x03\xff\xfe\n", b"\x00", b"\x05abcde"], ids=["not-utf8", "empty", "no-newline"]
)
async def test_negotiation__garbage_resets_the_stream_only(line: bytes) -> None:
    async with pair() as (first, second):
        muxed = await muxer_of(second, first).open_stream()
        await muxed.write(line)
        await until(lambda: muxed.closed or muxed.reset_received)
        assert await works(first, second)


async def test_protocols__nothing_is_stored_for_a_stranger() -> None:
    async with pair() as (first, second):
        served = set(first._libp2p.multiselect.handlers)
        assert not any("push" in str(protocol) for protocol in served)
        ping = await raw_stream(second, first, "/ipfs/ping/1.0.0")
        await ping.write(bytes(32))
        assert await ping.read(32) == bytes(32)


@pytest.mark.parametrize(
    "hello",
    [GARBAGE, b"GET / HTTP/1.1\r\n\r\n", b"\x13/multistream/1.0.0\n\x07/noise\n\xff\xff" + GARBAGE, b""],
    ids=["noise", "http", "bad-handshake", "silence"],
)
async def test_port__garbage_before_authentication_leaves_nothing(hello: bytes) -> None:
    async with open_host(seed(1), LOOPBACK, limits=NetworkLimits(handshake_s=0.3)) as host:
        port = int(host.addresses[0].split("/")[4])
        for _ in range(2):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                await stream.send_all(hello)
                with trio.move_on_after(5):
                    while await stream.receive_some(4096):
                        pass
        await until(lambda: not host._swarm._handshakes)
        async with open_host(seed(2), []) as member:
            await member.dial(host.addresses[0])
            assert await works(host, member)


async def test_handshakes__idle_connections_from_one_address_do_not_fill_the_port() -> None:
    limits = NetworkLimits(handshakes_per_address_max=5, handshake_s=0.5, turned_away_s=0.3)
    async with open_host(seed(1), LOOPBACK, limits=limits) as host:
        port = int(host.addresses[0].split("/")[4])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
        try:
            await until(lambda: host.counters.get("rejected.handshakes", 0) >= 7)
            assert sum(host._swarm._handshakes.values()) <= 5
            await until(lambda: not host._swarm._handshakes and not host._swarm._turned_away)
        finally:
            for connection in idle:
                connection.close()
        async with open_host(seed(2), []) as member:
            await member.dial(host.addresses[0])
            assert await works(host, member)


async def test_handshakes__that_come_to_nothing_make_their_address_wait_but_not_be_refused() -> None:
    limits = NetworkLimits(failed_handshakes_per_s=10.0, failed_handshakes_burst=5.0)
    async with open_host(seed(1), LOOPBACK, limits=limits) as host:
        port = int(host.addresses[0].split("/")[4])

        async def knock() -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(GARBAGE)
                while await stream.receive_some(4096):
                    pass

        started_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(15):
                nursery.start_soon(knock)
        assert trio.current_time() - started_s >= 0.9
        assert host.counters["handshakes.slowed"] == 10
        # An honest neighbour waits its turn once; that it got in costs its address nothing.
        async with open_host(seed(2), []) as member:
            before = host._swarm._failures["127.0.0.1"]._tokens
            await member.dial(host.addresses[0])
            assert await works(host, member)
            assert host._swarm._failures["127.0.0.1"]._tokens >= before
