"""The process-wide knobs: each test fails when its line in `patches` is taken out."""

from __future__ import annotations

import logging
import subprocess
import sys

import libp2p.protocol_muxer.multiselect_communicator as communicator_module
import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import ConnectionClosedError, MessageTooLarge
from libp2p.io.trio import TrioTCPStream
from libp2p.network.stream.exceptions import StreamError

from node.network import patches
from node.network.identity import peer_id
from tests.network.peers import TOPIC, hosts, muxer_of, pair, raw_stream, until, works

pytestmark = [pytest.mark.anyio, pytest.mark.network]


@pytest.fixture(autouse=True)
def _applied() -> None:
    patches.apply()


class Socket:
    """A stream that counts how often it is read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.receives = 0

    async def receive_some(self, n: int | None = None) -> bytes:
        self.receives += 1
        assert n is not None
        assert n <= 1024 * 1024, "the size asked for is what gets allocated"
        data, self.data = self.data[:n], self.data[n:]
        return data


async def test_tcp_read_ahead__one_receive_serves_length_and_body() -> None:
    socket = Socket(b"\x00\x05hello\x00\x02hi")
    stream = TrioTCPStream(socket)  # type: ignore[arg-type]
    assert [await stream.read(n) for n in (2, 5, 2, 100)] == [b"\x00\x05", b"hello", b"\x00\x02", b"hi"]
    assert socket.receives == 1
    assert await stream.read(0) == b""
    assert await stream.read(5) == b"", "the end"


async def test_tcp_read_ahead__a_peer_cannot_choose_how_much_is_allocated() -> None:
    assert await TrioTCPStream(Socket(b"x")).read(2**62) == b"x"  # type: ignore[arg-type]


async def test_tcp_read_ahead__lost_and_closed_connections_read_as_before() -> None:
    here, there = trio.socket.socketpair()
    stream = TrioTCPStream(trio.SocketStream(here))
    there.close()
    with pytest.raises((ConnectionClosedError, AssertionError)):
        assert await stream.read(1)
    await stream.close()
    assert await stream.read(1) == b""


@pytest.mark.parametrize("length", [b"\x81\x08", b"\xff\xff\xff\xff\xff\xff\xff\xff\x3f"])
async def test_negotiation_line__longer_than_any_protocol_name_is_refused(length: bytes) -> None:
    class Reader:
        data = length

        async def read(self, n: int | None = None) -> bytes:
            piece, self.data = self.data[:1], self.data[1:]
            assert piece, "the body is not even asked for"
            return piece

    with pytest.raises(MessageTooLarge):
        await communicator_module.read_delim(Reader())  # type: ignore[attr-defined]


async def test_dial_peer__has_no_head_start_either() -> None:
    # Nothing of ours calls it, but libp2p's own pubsub does when it finds no connection.
    times = []
    async with hosts(3) as (first, *others):
        for other in others:
            target = peer_id(first.public_key)
            other._swarm.peerstore.add_addrs(target, [first._libp2p.get_addrs()[0]], 60)
            started_s = trio.current_time()
            await other._swarm.dial_peer(target)
            times.append(trio.current_time() - started_s)
    assert min(times) < 0.24, times


async def test_dial__remembered_failure_does_not_refuse_the_peer() -> None:
    async with hosts(2) as (first, second):
        second._swarm._negative_peer_cache.mark_failed(str(peer_id(first.public_key)))
        await second.dial(first.addresses[0])
        assert not second._swarm._negative_peer_cache.is_blocked(str(peer_id(first.public_key)))


async def test_connections__use_the_bounded_muxer_on_both_sides() -> None:
    async with pair() as (first, second):
        assert muxer_of(first, second).limits is first.limits
        assert muxer_of(second, first).windows is second._windows


async def test_swarm__task_that_raises_ends_nothing() -> None:
    async with hosts(1) as (host,):

        async def broken() -> None:
            raise RuntimeError("a peer made me do it")

        for service in (host._swarm, host._pubsub, host._router):
            service.manager.run_task(broken)
        await until(lambda: sum("RuntimeError" in name for name in host.counters) == 3)
        assert host._swarm.manager.is_running


async def test_swarm__daemon_that_raises_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.network.guard._RESTART_S", 0.01)
    async with hosts(1) as (host,):
        runs = []

        async def daemon() -> None:
            runs.append(1)
            if len(runs) < 3:
                raise RuntimeError("again")
            await trio.sleep_forever()

        host._router.manager.run_daemon_task(daemon)
        await until(lambda: len(runs) == 3)


def test_logging__peers_cannot_fill_the_terminal() -> None:
    program = (
        "import node.network.patches as p, logging; p.apply();"
        "logging.getLogger('libp2p.transport').error('seen'); logging.debug('x'); logging.warning('root')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert logging.getLogger("libp2p").level == logging.CRITICAL


async def test_stream_handler_that_raises__costs_its_stream_only() -> None:
    async with pair() as (first, second):

        async def broken(stream: object) -> None:
            raise RuntimeError("a peer made me do it")

        first._libp2p.set_stream_handler(TProtocol("/broken/1"), broken)
        connection = muxer_of(first, second)
        stream = await raw_stream(second, first, "/broken/1")
        with pytest.raises(StreamError):
            await stream.read(1)
        assert first.counters["guarded.stream.RuntimeError"] == 1
        assert muxer_of(first, second) is connection
        assert await works(first, second)


async def test_identify__is_answered_but_never_asked() -> None:
    async with pair() as (first, second):
        assert await works(first, second)
        for host, other in ((first, second), (second, first)):
            host._libp2p._schedule_identify(peer_id(other.public_key), reason="test")
            assert not host._libp2p._identify_inflight
            assert not host._libp2p._identified_peers


async def test_auto_connector__dials_nobody() -> None:
    async with hosts(2) as (first, second):
        addresses = list(first._libp2p.get_addrs())
        second._swarm.peerstore.add_addrs(peer_id(first.public_key), addresses, 60)
        await second._swarm.auto_connector.maybe_connect()
        assert not second._swarm.auto_connector._last_connect_attempt
        assert not second.peers()


async def test_topic_subscribed_during_the_greeting__is_announced_all_the_same() -> None:
    async with hosts(2) as (first, second):
        greet = second._pubsub.get_hello_packet

        def greet_then_subscribe() -> object:
            packet = greet()
            second._pubsub.subscribed_topics_receive[TOPIC] = object()  # type: ignore[assignment]
            return packet

        second._pubsub.get_hello_packet = greet_then_subscribe  # type: ignore[assignment, method-assign]
        await second.dial(first.addresses[0])
        await until(lambda: TOPIC in first._pubsub.peer_topics)
