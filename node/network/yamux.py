"""The stream multiplexer: libp2p's yamux with the receive path, the send path and every bound of our own.

Same wire format (/yamux/1.0.0). What differs from the library, and why:

- A peer that sends more than the window it was granted ends the connection; the library only logs it and
  buffers without limit. So do announcements of frames larger than any window, floods of new streams, pings or
  resets.
- One writer task owns the socket. The library writes from whoever calls, so a request cancelled half-way
  through a frame corrupts the Noise session, and a peer that stops reading blocks everyone, pings included.
- A ping every few seconds, and a connection on which nothing arrives is closed: half-open peers are noticed.
- No log line is formatted per frame (a third of the library's cost).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import ClassVar

import trio
from libp2p.abc import ISecureConn
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError
from libp2p.stream_muxer.yamux import yamux as wire
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

from node.network.counters import Counters
from node.network.identity import public_key
from node.network.limits import NetworkLimits
from node.network.rate import TokenBucket
from node.network.windows import WindowBudget
from node.network.yamux_stream import FRAME_BYTES_MAX, HEADER_BYTES, BoundedStream

_HEADER = struct.Struct(wire.YAMUX_HEADER_FORMAT)
_SEND_QUEUE_BYTES = 1024 * 1024
_CONTROL_BACKLOG_MAX = 4096


class ProtocolViolation(Exception):  # noqa: N818
    """The peer broke a rule of yamux that no honest implementation breaks."""


class BoundedYamux(Yamux):
    """One multiplexed connection to one peer. Subclassed per host by `muxer` with its limits bound in."""

    limits: ClassVar[NetworkLimits]
    windows: ClassVar[WindowBudget]
    counters: ClassVar[Counters]
    violated: ClassVar[Callable[[bytes, str], None]]

    def __init__(self, secured_conn: ISecureConn, peer_id: ID, is_initiator: bool | None = None) -> None:
        super().__init__(secured_conn, peer_id, is_initiator)
        self.remote_key = public_key(peer_id) or b""
        self._frames: deque[bytes | bytearray] = deque()
        self._queued_bytes = 0
        self._has_frames = trio.Event()
        self._has_room = trio.Event()
        self._heard_at_s = trio.current_time()
        self._opened = TokenBucket(
            self.limits.inbound_streams_per_s, self.limits.inbound_streams_per_s, trio.current_time()
        )

    @staticmethod
    def frame(kind: int, flags: int, stream_id: int, length: int) -> bytes:
        """The 12 header bytes of a frame."""
        return _HEADER.pack(0, kind, flags, stream_id, length)

    # Sending.

    def send_control(self, frame: bytes) -> None:
        """Queue a small frame without waiting: the receive path waiting for the send path is a deadlock."""
        if self.event_shutting_down.is_set():
            return
        self._frames.append(frame)
        self._queued_bytes += len(frame)
        self._has_frames.set()

    async def send_data(self, frame: bytes) -> None:
        """Queue a data frame, waiting for room."""
        while self._queued_bytes > _SEND_QUEUE_BYTES and not self.event_shutting_down.is_set():
            await self._has_room.wait()
        if self.event_shutting_down.is_set():
            raise MuxedStreamError("connection is closed")
        self.send_control(frame)
        await trio.lowlevel.checkpoint()

    async def _write_frame(self, data: bytes) -> None:
        # The inherited methods write through here; nothing of theirs reaches the socket by itself.
        self.send_control(data)
        await trio.lowlevel.checkpoint()

    async def _write_loop(self) -> None:
        while True:
            while not self._frames:
                self._has_frames = trio.Event()
                await self._has_frames.wait()
            batch = bytearray(self._frames.popleft())
            while self._frames and len(batch) + len(self._frames[0]) <= FRAME_BYTES_MAX:
                batch += self._frames.popleft()
            with trio.fail_after(self.limits.write_stall_s):
                await self.secured_conn.write(bytes(batch))
            self._queued_bytes -= len(batch)
            self.counters.add("wire.bytes_out", len(batch))
            self._has_room.set()
            self._has_room = trio.Event()

    # Lifetime.

    async def start(self) -> None:
        """Run the connection until it ends; never raises for anything a peer does."""
        if self.event_started.is_set():
            return
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._until_over, self._write_loop)
                nursery.start_soon(self._until_over, self.handle_incoming)
                nursery.start_soon(self._until_over, self._measure_rtt_loop)
                nursery.start_soon(self._until_over, self._stale_stream_sweeper)
                self._established = True
                self.event_started.set()
                await self.event_shutting_down.wait()
                nursery.cancel_scope.cancel()
        finally:
            # Also when cancelled: the library leaves its sockets open then.
            with trio.CancelScope(shield=True), trio.move_on_after(2.0):
                await self._cleanup_on_error()

    async def _until_over(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except ProtocolViolation as violation:
            self.counters.add("violation.yamux")
            type(self).violated(self.remote_key, str(violation))
        except Exception as error:
            # A lost connection, in whichever words the layer below puts it.
            self.counters.add(f"connection.lost.{type(error).__name__}")
        self.event_shutting_down.set()

    async def close(self, error_code: int = wire.GO_AWAY_NORMAL) -> None:
        """Say goodbye if the peer still listens, then close; never waits longer than a second for it."""
        if not self.event_shutting_down.is_set():
            self.send_control(self.frame(wire.TYPE_GO_AWAY, 0, 0, error_code))
            with trio.move_on_after(1.0):
                while self._queued_bytes and not self.event_shutting_down.is_set():
                    await self._has_room.wait()
        await self._cleanup_on_error()

    async def _cleanup_on_error(self) -> None:
        self.event_shutting_down.set()
        for stream in tuple(self.streams.values()):
            stream.closed = stream.send_closed = stream.recv_closed = stream.reset_received = True
            self._forget(stream)
        self._frames.clear()
        self._queued_bytes = 0
        self._has_room.set()
        self._has_frames.set()
        await super()._cleanup_on_error()

    async def _measure_rtt_loop(self) -> None:
        # The library pings every 30 s and ignores the missing answer: a half-open peer hung a request for 40
        # s.
        while True:
            self._ping_id = (self._ping_id + 1) & 0xFFFFFFFF
            self._ping_sent_time = trio.current_time()
            self.send_control(self.frame(wire.TYPE_PING, wire.FLAG_SYN, 0, self._ping_id))
            await trio.sleep(self.limits.keepalive_s)
            if trio.current_time() - self._heard_at_s > self.limits.silence_s:
                # If it was us who slept (a suspended machine, a blocked loop), what arrived meanwhile is read
                # first.
                await trio.sleep(self.limits.keepalive_s / 4)
                if trio.current_time() - self._heard_at_s > self.limits.silence_s:
                    raise MuxedConnUnavailable("nothing heard")

    @property
    def round_trip_ms(self) -> float | None:
        """Of the last ping that was answered; None before the first."""
        return self._rtt * 1000 if self._rtt else None

    # Streams.

    async def open_stream(self) -> YamuxStream:
        """Open a stream towards the peer. Raises MuxedStreamError when the connection is going down."""
        await self.stream_backlog_semaphore.acquire()
        if self.event_shutting_down.is_set():
            self.stream_backlog_semaphore.release()
            raise MuxedStreamError("connection is shutting down")
        stream = BoundedStream(self.next_stream_id, self, True)
        self.next_stream_id += 2
        stream._owns_backlog_slot = True
        self._remember(stream)
        self.send_control(self.frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_SYN, stream.stream_id, 0))
        return stream

    def _remember(self, stream: BoundedStream) -> None:
        self.streams[stream.stream_id] = stream
        self.stream_buffers[stream.stream_id] = bytearray()
        self.stream_events[stream.stream_id] = trio.Event()

    def _forget(self, stream: YamuxStream) -> None:
        if isinstance(stream, BoundedStream):
            stream.wake()
            stream.release_window()

    def _finalize_stream_locked(self, stream: YamuxStream, *, fully_closed: bool) -> None:
        super()._finalize_stream_locked(stream, fully_closed=fully_closed)
        if fully_closed:
            self._forget(stream)

    # Receiving.

    async def handle_incoming(self) -> None:
        """Read frames until the connection ends. Raises ProtocolViolation on what no honest peer sends."""
        while True:
            header = await self.secured_conn.read(HEADER_BYTES)
            if len(header) != HEADER_BYTES:
                return
            self._heard_at_s = trio.current_time()
            _, kind, flags, stream_id, length = _HEADER.unpack(header)
            if len(self._frames) > _CONTROL_BACKLOG_MAX:
                raise ProtocolViolation("asks for answers without reading them")
            if kind == wire.TYPE_PING:
                self._on_ping(flags, length)
            elif kind == wire.TYPE_GO_AWAY:
                return
            elif kind in (wire.TYPE_DATA, wire.TYPE_WINDOW_UPDATE):
                await self._on_stream_frame(kind, flags, stream_id, length)
            else:
                raise ProtocolViolation(f"unknown frame type {kind}")

    def _on_ping(self, flags: int, value: int) -> None:
        if flags & wire.FLAG_SYN:
            self.send_control(self.frame(wire.TYPE_PING, wire.FLAG_ACK, 0, value))
        elif value == self._ping_id:
            self._rtt = trio.current_time() - self._ping_sent_time

    async def _on_stream_frame(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        if flags & wire.FLAG_SYN:
            await self._on_open(stream_id)
        stream = self.streams.get(stream_id)
        if kind == wire.TYPE_DATA and length:
            await self._on_data(stream, stream_id, length)
        elif stream is not None and isinstance(stream, BoundedStream) and length:
            if stream.send_window + length > 0xFFFFFFFF:
                raise ProtocolViolation("send window overflow")
            stream.add_send_window(length)
        if stream is None:
            return
        if flags & wire.FLAG_RST:
            stream.closed = stream.send_closed = stream.recv_closed = stream.reset_received = True
        elif flags & wire.FLAG_FIN:
            stream.recv_closed = True
            stream.closed = stream.send_closed
        if flags & (wire.FLAG_RST | wire.FLAG_FIN) and stream_id in self.stream_events:
            self.stream_events[stream_id].set()
            if isinstance(stream, BoundedStream):
                stream.wake()
            if stream.closed:
                self._finalize_stream_locked(stream, fully_closed=True)

    async def _on_data(self, stream: YamuxStream | None, stream_id: int, length: int) -> None:
        # Checked before a byte of it is read: the announced length is what would have to be buffered.
        allowed = (
            stream.recv_window if stream is not None else self.limits.window_bytes + wire.DEFAULT_WINDOW_SIZE
        )
        if length > allowed:
            raise ProtocolViolation(f"{length} bytes sent into a window of {allowed}")
        if stream is not None:
            stream.recv_window -= length
        left = length
        while left:
            data = await self.secured_conn.read(min(left, FRAME_BYTES_MAX))
            if not data:
                raise MuxedConnUnavailable("connection ended inside a frame")
            left -= len(data)
            self._heard_at_s = trio.current_time()
            self.counters.add("wire.bytes_in", len(data))
            self.counters.add_received(self.remote_key, len(data))
            buffer = self.stream_buffers.get(stream_id)
            if buffer is not None and stream is not None and not stream.recv_closed:
                buffer += data
                self.stream_events[stream_id].set()

    async def _on_open(self, stream_id: int) -> None:
        if stream_id in self.streams or stream_id % 2 == self.next_stream_id % 2:
            raise ProtocolViolation("opens a stream that is not its to open")
        inbound = sum(not stream.is_initiator for stream in self.streams.values())
        wait_s = self._opened.take(1.0, trio.current_time())
        if wait_s > 10.0:
            raise ProtocolViolation("opens streams without end")
        if inbound >= self.limits.inbound_streams_max or wait_s > 0:
            # Refused, not queued: each accepted stream costs a task and a buffer.
            self.counters.add("rejected.stream")
            self.send_control(self.frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_RST, stream_id, 0))
            return
        stream = BoundedStream(stream_id, self, False)
        self._remember(stream)
        self.send_control(self.frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_ACK, stream_id, 0))
        await self.new_stream_send_channel.send(stream)


def muxer(
    limits: NetworkLimits,
    windows: WindowBudget,
    counters: Counters,
    on_violation: Callable[[bytes, str], None],
) -> type[BoundedYamux]:
    """The multiplexer class of one host; libp2p instantiates it, so its settings are class attributes."""

    class HostYamux(BoundedYamux):
        pass

    HostYamux.limits = limits
    HostYamux.windows = windows
    HostYamux.counters = counters
    HostYamux.violated = staticmethod(on_violation)
    return HostYamux
