"""Requests: both directions, every way to fail, and peers that stall."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from node.network.errors import RequestDenied, RequestError, RequestRefused
from node.network.frames import FrameReader, Status, encode_header
from node.network.host import Host
from node.network.identity import peer_id
from node.network.limits import NetworkLimits
from node.network.yamux_stream import BoundedStream
from tests.network.peers import hosts, muxer_of, pair, raw_requests, until, works

pytestmark = [pytest.mark.anyio, pytest.mark.network]

MIB = 1024 * 1024


def serve(host: Host, method: str = "echo", size: int = 4 * MIB) -> None:
    """Answer with what was asked."""

    async def echo(peer: bytes, payload: bytes) -> bytes:
        return payload

    host.handle(method, echo, request_bytes_max=size, response_bytes_max=size)


@pytest.mark.parametrize("size", [0, 1, 4096, 65_519, 65_536, 1_300_000])
async def test_request__answered_over_the_connection_the_other_side_opened(size: int) -> None:
    async with pair() as (validator, encoder):  # the encoder dialled
        serve(encoder)
        payload = bytes(range(256)) * (size // 256 + 1)
        assert (
            await validator.request(encoder.public_key, "echo", payload[:size], timeout_s=5) == payload[:size]
        )


async def test_handler__knows_the_key_of_who_asks() -> None:
    async with pair() as (first, second):

        async def whoami(peer: bytes, payload: bytes) -> bytes:
            return peer

        first.handle("whoami", whoami, request_bytes_max=10, response_bytes_max=32)
        assert await second.request(first.public_key, "whoami", b"", timeout_s=5) == second.public_key


async def test_streams__are_kept_and_bounded() -> None:
    limits = NetworkLimits(streams_per_peer=4)
    async with pair(limits) as (first, second):
        serve(first)
        for _ in range(20):
            await second.request(first.public_key, "echo", b"x", timeout_s=5)
        assert second.counters["rpc.streams_opened"] == 1
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(ask, second, first, b"%d" % number)
        assert second.counters["rpc.streams_opened"] <= 4


async def ask(asker: Host, server: Host, payload: bytes) -> None:
    assert await asker.request(server.public_key, "echo", payload, timeout_s=5) == payload


async def test_three_hundred_requests__do_not_hang_on_unclosed_streams() -> None:
    # The 257th stream that nobody closes hangs in the library; each of these is cancelled half-way.
    # A machine too busy to answer a ping in time is not what this is about.
    limits = NetworkLimits(inbound_streams_per_s=10_000, silence_s=60.0)
    async with pair(limits) as (first, second):

        async def never(peer: bytes, payload: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        first.handle("never", never, request_bytes_max=10, response_bytes_max=10)
        for _ in range(38):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(expect_timeout, second, first)
        assert second.counters["rpc.timeouts"] == 304
        assert await works(first, second)
        # What is left: the streams kept for later requests, and gossip both ways.
        await until(lambda: len(muxer_of(first, second).streams) <= limits.streams_per_peer + 2)
        assert muxer_of(second, first).stream_backlog_semaphore.value > 240


async def expect_timeout(asker: Host, server: Host) -> None:
    with pytest.raises(RequestError, match="no answer within"):
        await asker.request(server.public_key, "never", b"", timeout_s=0.02)


async def test_cancelled_request__leaves_the_connection_usable() -> None:
    # The library writes from the caller's task: cancelled inside a frame it corrupts the Noise session.
    async with pair() as (first, second):
        serve(first)
        payload = bytes(4 * MIB)
        for delay_s in (0.0, 0.001, 0.003, 0.01, 0.02):
            with trio.move_on_after(delay_s):
                await second.request(first.public_key, "echo", payload, timeout_s=5)
        assert await second.request(first.public_key, "echo", b"still here", timeout_s=5) == b"still here"
        assert len(second.peers()) == 1
        assert not first.counters.get("violation.yamux")
        assert not first.penalty(second.public_key)


async def test_handler_that_raises__is_answered_and_contained() -> None:
    async with pair() as (first, second):

        async def broken(peer: bytes, payload: bytes) -> bytes:
            raise ValueError("secret detail")

        first.handle("broken", broken, request_bytes_max=10, response_bytes_max=10)
        with pytest.raises(RequestError, match="handler failed") as caught:
            await second.request(first.public_key, "broken", b"", timeout_s=5)
        assert "secret" not in str(caught.value)
        assert first.counters["guarded.handler.broken.ValueError"] == 1
        assert await works(first, second)
        assert not isinstance(caught.value, RequestDenied), "a fault of the peer's is no refusal"
        assert second.counters["rpc.streams_opened"] == 1, "an error answer does not cost the stream"


async def test_handler_that_refuses__is_quoted() -> None:
    async with pair() as (first, second):

        async def refuse(peer: bytes, payload: bytes) -> bytes:
            raise RequestRefused("not in this epoch")

        first.handle("refuse", refuse, request_bytes_max=10, response_bytes_max=10)
        with pytest.raises(RequestDenied, match="not in this epoch"):
            await second.request(first.public_key, "refuse", b"", timeout_s=5)


async def test_unknown_method__is_said() -> None:
    async with pair() as (first, second):
        with pytest.raises(RequestError, match="does not serve this method"):
            await second.request(first.public_key, "nothing", b"abc", timeout_s=5)
        assert first.penalty(second.public_key) == 0.0


async def test_not_connected__is_said_at_once_and_nobody_is_dialled() -> None:
    async with hosts(2) as (first, second):
        with pytest.raises(RequestError, match="not connected"):
            await second.request(first.public_key, "echo", b"", timeout_s=5)
        assert second._requests._pools == {}


async def test_connection_ended_but_still_listed__is_said_to_be_none() -> None:
    async with pair() as (first, second):
        (connection,) = second._swarm.connections[peer_id(first.public_key)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(connection), "is_closed", property(lambda _: True))
            with pytest.raises(RequestError, match="not connected"):
                await second.request(first.public_key, "echo", b"", timeout_s=5)
        serve(first)
        assert await second.request(first.public_key, "echo", b"here", timeout_s=5) == b"here"


async def test_answer_larger_than_the_method_gives__is_an_error_at_the_server() -> None:
    async with pair() as (first, second):

        async def big(peer: bytes, payload: bytes) -> bytes:
            return bytes(1000)

        first.handle("big", big, request_bytes_max=10, response_bytes_max=999)
        with pytest.raises(RequestError, match="larger than this method may give"):
            await second.request(first.public_key, "big", b"", timeout_s=5)


async def test_answer_larger_than_asked_for__is_not_read() -> None:
    async with pair() as (first, second):
        serve(first)
        with pytest.raises(RequestError, match="exceeds 10"):
            await second.request(first.public_key, "echo", bytes(1000), timeout_s=5, response_bytes_max=10)
        assert second.penalty(first.public_key) > 0


async def test_request_larger_than_the_method_takes__is_refused_unread() -> None:
    async with pair() as (first, second):
        serve(first, size=100)
        stream = await raw_requests(second, first)
        await stream.write(encode_header("echo", 0, 2**40))
        _, status, size = await FrameReader(stream).header(started_s=5)
        assert status == Status.TOO_LARGE
        assert size < 100
        assert await works(first, second)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x05garba",
        b"\x00\x00\x00\x01\x90",
        b"\x00\x00\x02\x00" + b"\x90" * 512,
    ],
    ids=["length-2^32-1", "not-msgpack", "empty-list", "bomb"],
)
async def test_garbage_frames__cost_the_peer_and_nothing_else(garbage: bytes) -> None:
    async with pair() as (first, second):
        stream = await raw_requests(second, first)
        await stream.write(garbage)
        await until(lambda: first.penalty(second.public_key) > 0)
        assert await works(first, second)
        await until(lambda: len(muxer_of(first, second).streams) <= 4)


async def test_garbage_again_and_again__is_a_ban() -> None:
    async with pair() as (first, second):
        with suppress(Exception):
            for _ in range(6):
                stream = await raw_requests(second, first)
                await stream.write(b"\xff\xff\xff\xff")
        await until(lambda: first.is_banned(second.public_key) and not first.peers())


async def test_slow_loris__header_and_payload_have_a_deadline() -> None:
    limits = NetworkLimits(frame_read_s=0.1)
    async with pair(limits) as (first, second):
        serve(first)
        drip = await raw_requests(second, first)
        await drip.write(b"\x00")
        await until(lambda: first.counters.get("rpc.bad_frames") == 1)
        drip = await raw_requests(second, first)
        await drip.write(encode_header("echo", 0, 1000) + b"x")
        await until(lambda: first.counters.get("rpc.bad_frames") == 2)
        assert first.penalty(second.public_key) > 0


async def test_idle_stream__may_stay_open_and_silent() -> None:
    limits = NetworkLimits(frame_read_s=0.05)
    async with pair(limits) as (first, second):
        stream = await raw_requests(second, first)
        await until(lambda: any(not held.is_initiator for held in muxer_of(first, second).streams.values()))
        await trio.sleep(0.2)
        serve(first)
        await stream.write(encode_header("echo", 0, 2) + b"ok")
        reader = FrameReader(stream)
        _, status, size = await reader.header(started_s=5)
        assert (status, await reader.payload(size)) == (Status.OK, b"ok")


async def test_peer_that_never_answers__costs_the_timeout_only() -> None:
    async with pair() as (first, second):

        async def never(peer: bytes, payload: bytes) -> bytes:
            await trio.sleep_forever()
            raise AssertionError

        first.handle("never", never, request_bytes_max=10, response_bytes_max=10)
        started_s = trio.current_time()
        await expect_timeout(second, first)
        assert trio.current_time() - started_s < 1.0


async def test_asker_that_gives_up__cancels_what_it_asked_for() -> None:
    async with pair() as (first, second):
        running, cancelled = [], []

        async def never(peer: bytes, payload: bytes) -> bytes:
            running.append(payload)
            try:
                await trio.sleep_forever()
            finally:
                cancelled.append(payload)
            raise AssertionError

        first.handle("never", never, request_bytes_max=10, response_bytes_max=10)
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await until(lambda: running)
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            await second.request(first.public_key, "never", b"x", timeout_s=5)
        await until(lambda: cancelled == [b"x"])


async def test_request_cancelled_while_its_stream_opens__leaves_the_stream_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pair() as (first, second):
        serve(first)
        notify = second._swarm.notify_opened_stream

        async def slowly(stream: object) -> None:
            await trio.sleep(0.05)
            await notify(stream)  # type: ignore[arg-type]

        monkeypatch.setattr(second._swarm, "notify_opened_stream", slowly)
        with pytest.raises(RequestError, match="no answer within"):
            await second.request(first.public_key, "echo", b"", timeout_s=0.01)
        await until(lambda: second._requests._pools[first.public_key].idle)
        await ask(second, first, b"x")
        assert second.counters["rpc.streams_opened"] == 1


async def test_peer_that_goes_away__ends_the_request() -> None:
    async with pair() as (first, second):
        asked = trio.Event()

        async def leave(peer: bytes, payload: bytes) -> bytes:
            asked.set()
            await trio.sleep_forever()
            raise AssertionError

        first.handle("leave", leave, request_bytes_max=10, response_bytes_max=10)
        async with trio.open_nursery() as nursery:

            async def cut() -> None:
                await asked.wait()
                await first.disconnect(second.public_key)

            nursery.start_soon(cut)
            with pytest.raises(RequestError, match="ended"):
                await second.request(first.public_key, "leave", b"", timeout_s=5)


async def test_rate__too_many_requests_wait_and_are_answered() -> None:
    limits = NetworkLimits(requests_per_s=20, requests_burst=50)  # a loaded machine is slower than 50
    async with pair(limits) as (first, second):
        serve(first)
        started_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(70):
                nursery.start_soon(ask, second, first, b"%d" % number)
        assert trio.current_time() - started_s > 0.2
        assert first.counters["rpc.slowed"] > 0


async def test_windows__are_granted_within_the_budget_and_come_back() -> None:
    limits = NetworkLimits(window_bytes_per_peer_max=16 * MIB)
    async with pair(limits) as (first, second):
        serve(first)
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(ask, second, first, b"%d" % number)
        streams = [
            held for held in muxer_of(second, first).streams.values() if isinstance(held, BoundedStream)
        ]
        assert max(held.window_bytes for held in streams) >= 8 * MIB
        assert sum(held.granted_bytes for held in streams) == second._windows.granted_bytes <= 16 * MIB
        await second.disconnect(first.public_key)
        await until(lambda: second._windows.granted_bytes == 0 and first._windows.granted_bytes == 0)


async def test_frames_on_the_wire__fit_one_noise_message_each() -> None:
    async with pair() as (first, second):
        serve(first)
        sizes: list[int] = []
        connection = muxer_of(second, first).secured_conn
        write = connection.write

        async def spy(data: bytes) -> None:
            sizes.append(len(data))
            await write(data)

        connection.write = spy  # type: ignore[method-assign]
        await second.request(first.public_key, "echo", bytes(1_300_000), timeout_s=5)
        assert max(sizes) == 65_519
        assert sum(size > 1000 for size in sizes) <= 1_300_000 / 65_507 + 2
