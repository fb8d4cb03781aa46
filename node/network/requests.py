"""Requests and answers over long-lived streams, in either direction of a connection.

A stream costs 7 ms to open and 1.2 ms to use, so each side keeps a few open to each peer and uses each for
one request at a time. The side that dialled does not matter: a validator asks an encoder over the connection
the encoder opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.stream.exceptions import StreamError, StreamReset
from libp2p.network.stream.net_stream import NetStream

from node.network.counters import Counters
from node.network.dial_reason import speaks_no
from node.network.errors import RequestDenied, RequestError, RequestRefused
from node.network.frames import REASON_BYTES_MAX, FrameError, FrameReader, Status, encode_header
from node.network.guard import guarded
from node.network.identity import peer_id, public_key
from node.network.limits import NetworkLimits, Share, full_share
from node.network.rate import TokenBucket
from node.network.yamux_stream import BoundedStream
from protocol.versions import RPC_PROTOCOL

PROTOCOL = TProtocol(RPC_PROTOCOL)
ANOTHER_VERSION = (
    f"the peer does not speak {RPC_PROTOCOL}: one of the two runs another major version; compare "
    "`deltamesh version` on both and update the older"
)
COST_BAD_FRAME = 25.0

Handler = Callable[[bytes, bytes], Awaitable[bytes]]
Penalise = Callable[[bytes, float, str], None]
Spawn = Callable[[Callable[[], Awaitable[object]], str], None]
_Open = tuple[INetStream, FrameReader]


@dataclass(frozen=True, slots=True)
class _Method:
    handler: Handler
    request_bytes_max: int
    response_bytes_max: int


class _Pool:
    """Idle streams to one peer, and the right to use at most so many at once."""

    def __init__(self, streams: int) -> None:
        self.slots = trio.CapacityLimiter(streams)
        self.idle: list[_Open] = []


@dataclass(slots=True)
class _Opening:
    """A stream being opened in a task of its own; `abandoned` when nobody waits for it any more."""

    done: trio.Event = field(default_factory=trio.Event)
    stream: _Open | None = None
    reason: str = ""
    abandoned: bool = False


class Requests:
    """Both halves of the request protocol on one host."""

    def __init__(
        self,
        host: BasicHost,
        limits: NetworkLimits,
        counters: Counters,
        penalise: Penalise,
        spawn: Spawn,
        share: Share = full_share,
    ) -> None:
        self._host = host
        self._limits = limits
        self._counters = counters
        self._penalise = penalise
        self._spawn = spawn
        self._share = share
        self._methods: dict[str, _Method] = {}
        self._pools: dict[bytes, _Pool] = {}
        self._rates: dict[bytes, TokenBucket] = {}
        host.set_stream_handler(PROTOCOL, self._serve)

    def handle(
        self, method: str, handler: Handler, *, request_bytes_max: int, response_bytes_max: int
    ) -> None:
        """Answer `method` with `handler(peer key, payload)`; a second handler replaces the first."""
        limits = self._limits
        self._methods[method] = _Method(
            handler,
            min(request_bytes_max, limits.request_bytes_max),
            min(response_bytes_max, limits.response_bytes_max),
        )

    def forget(self, peer: bytes) -> None:
        """Drop what is kept for a peer whose last connection has ended."""
        self._pools.pop(peer, None)
        self._rates.pop(peer, None)

    # Asking.

    async def request(
        self,
        peer: bytes,
        method: str,
        payload: bytes,
        *,
        timeout_s: float,
        response_bytes_max: int | None = None,
    ) -> bytes:
        """Ask `peer` and return its answer. Raises RequestError; all together takes at most `timeout_s`."""
        limit = self._limits.response_bytes_max if response_bytes_max is None else response_bytes_max
        try:
            with trio.fail_after(timeout_s):
                return await self._ask(peer, method, payload, limit)
        except trio.TooSlowError as error:
            self._counters.add("rpc.timeouts")
            raise RequestError(peer, method, f"no answer within {timeout_s:g} s") from error
        except (StreamError, FrameError) as error:
            reason = str(error) or type(error).__name__
            raise RequestError(peer, method, f"the connection or stream ended ({reason})") from error

    async def _ask(self, peer: bytes, method: str, payload: bytes, response_bytes_max: int) -> bytes:
        if all(one.is_closed for one in self._host.get_network().get_connections(peer_id(peer))):
            # Not left to libp2p, which would dial whatever addresses it remembers; nor tried on a connection
            # that has ended and is still listed.
            raise RequestError(peer, method, "not connected to this peer")
        pool = self._pools.get(peer)
        if pool is None:
            pool = self._pools[peer] = _Pool(self._limits.streams_per_peer)
        async with pool.slots:
            stream, reader = await self._stream(pool, peer, method)
            reusable = False
            try:
                await stream.write(encode_header(method, 0, len(payload)) + payload)
                self._counters.add("rpc.bytes_out", len(payload))
                _, status, size = await reader.header(started_s=self._limits.frame_read_s)
                if size > (response_bytes_max if status == Status.OK else REASON_BYTES_MAX):
                    self._penalise(peer, COST_BAD_FRAME, "answer larger than asked for")
                    raise RequestError(peer, method, f"answer of {size} bytes exceeds {response_bytes_max}")
                answer = await reader.payload(size)
                self._counters.add("rpc.bytes_in", size)
                reusable = status != Status.TOO_LARGE and reader.buffered == 0
            finally:
                # Also when cancelled: a stream with half an answer on it must not be used again.
                with trio.CancelScope(shield=True):
                    await (self._give_back(pool, peer, (stream, reader)) if reusable else stream.reset())
        if status != Status.OK:
            raise (RequestDenied if status == Status.REFUSED else RequestError)(
                peer, method, _reason(status, answer)
            )
        return answer

    async def _stream(self, pool: _Pool, peer: bytes, method: str) -> _Open:
        while pool.idle:
            stream, reader = pool.idle.pop()
            muxed = _muxed(stream)
            if not (muxed.closed or muxed.recv_closed or muxed.send_closed):
                return stream, reader
        # In a task of its own: cancelled while it opens a stream, the library forgets to close it, and after
        # 256 of those the connection hangs. A stream too late for its request serves the next one.
        opening = _Opening()
        self._spawn(lambda: self._open(pool, peer, opening), "open_stream")
        try:
            await opening.done.wait()
        finally:
            opening.abandoned = not opening.done.is_set()
        if opening.stream is None:
            raise RequestError(peer, method, f"no stream could be opened ({opening.reason})")
        return opening.stream

    async def _open(self, pool: _Pool, peer: bytes, opening: _Opening) -> None:
        try:
            stream = await self._host.new_stream(peer_id(peer), [PROTOCOL])
            self._counters.add("rpc.streams_opened")
            await _muxed(stream).grow_window()
            opening.stream = (stream, FrameReader(stream))
        except Exception as error:
            opening.reason = ANOTHER_VERSION if speaks_no(RPC_PROTOCOL, error) else type(error).__name__
        finally:
            opening.done.set()
        if opening.abandoned and opening.stream is not None:
            await self._give_back(pool, peer, opening.stream)

    async def _give_back(self, pool: _Pool, peer: bytes, stream: _Open) -> None:
        if self._pools.get(peer) is pool and len(pool.idle) < self._limits.streams_per_peer:
            pool.idle.append(stream)
        else:
            await stream[0].reset()

    # Answering.

    async def _serve(self, stream: INetStream) -> None:
        peer = public_key(stream.muxed_conn.peer_id) or b""
        reader = FrameReader(stream)
        await _muxed(stream).grow_window()
        try:
            while True:
                await self._serve_one(peer, stream, reader)
        except StreamError:
            self._counters.add("rpc.streams_ended")
        except (FrameError, trio.TooSlowError) as error:
            self._counters.add("rpc.bad_frames")
            self._penalise(peer, COST_BAD_FRAME, f"bad request frame: {error or 'too slow'}")
        finally:
            with trio.CancelScope(shield=True):
                await stream.reset()

    async def _serve_one(self, peer: bytes, stream: INetStream, reader: FrameReader) -> None:
        name, _, size = await reader.header(started_s=self._limits.frame_read_s)
        method = self._methods.get(name)
        if size > (method.request_bytes_max if method else self._limits.request_bytes_max):
            # Refused by its announced size, before a byte of it is kept; the stream cannot be used further.
            await self._answer(stream, Status.TOO_LARGE, b"request is too large")
            await stream.close()
            raise FrameError(f"request of {size} bytes for {name}")
        with trio.fail_after(self._frame_s(size)):
            payload = await reader.payload(size)
        self._counters.add("rpc.bytes_in", size)
        await self._wait_for_turn(peer)
        if method is None:
            await self._answer(stream, Status.UNKNOWN_METHOD, b"method is not served here")
            return
        muxed = _muxed(stream)
        if muxed.reset_received:
            raise StreamReset("the asker went away")
        with trio.CancelScope() as asked:
            # Who gives up cancels what was asked for, or asking and giving up starts handlers without end.
            muxed.on_end = asked.cancel
            status, answer = await self._run(method, name, peer, payload)
        muxed.on_end = None
        if asked.cancelled_caught:
            raise StreamReset("the asker went away")
        await self._answer(stream, status, answer)

    async def _run(self, method: _Method, name: str, peer: bytes, payload: bytes) -> tuple[Status, bytes]:
        try:
            answer = await method.handler(peer, payload)
        except RequestRefused as refused:
            return Status.REFUSED, refused.reason.encode()[:REASON_BYTES_MAX]
        except Exception as error:
            # Unguarded, an exception in a handler ends the process.
            guarded(self._counters, f"handler.{name}", error)
            return Status.FAILED, type(error).__name__.encode()[:REASON_BYTES_MAX]
        if len(answer) > method.response_bytes_max:
            self._counters.add("rpc.answers_too_large")
            return Status.FAILED, b"the answer is larger than this method may give"
        return Status.OK, answer

    async def _answer(self, stream: INetStream, status: Status, payload: bytes) -> None:
        with trio.fail_after(self._frame_s(len(payload))):
            await stream.write(encode_header("", status, len(payload)) + payload)
        self._counters.add("rpc.bytes_out", len(payload))

    def _frame_s(self, size_bytes: int) -> float:
        return self._limits.frame_read_s + size_bytes / self._limits.frame_bytes_per_s

    async def _wait_for_turn(self, peer: bytes) -> None:
        share = self._share(peer)
        per_s, burst = self._limits.requests_per_s * share, self._limits.requests_burst * share
        rate = self._rates.get(peer)
        if rate is None:
            rate = self._rates[peer] = TokenBucket(per_s, burst, trio.current_time())
        rate.resize(per_s, burst)
        wait_s = rate.take(1.0, trio.current_time())
        if wait_s > 0:
            self._counters.add("rpc.slowed")
            await trio.sleep(wait_s)


def _muxed(stream: INetStream) -> BoundedStream:
    assert isinstance(stream, NetStream)
    assert isinstance(stream.muxed_stream, BoundedStream)
    return stream.muxed_stream


def _reason(status: int, answer: bytes) -> str:
    said = answer.decode(errors="replace")
    names = {
        Status.UNKNOWN_METHOD: "the peer does not serve this method",
        Status.TOO_LARGE: "the peer finds the request too large",
        Status.FAILED: f"the peer's handler failed ({said})",
        Status.REFUSED: said,
    }
    return next((text for known, text in names.items() if known == status), f"unknown status {status}")
