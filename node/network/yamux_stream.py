"""One multiplexed stream that enforces its receive window and waits for its send window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError, MuxedStreamReset
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    FLAG_FIN,
    FLAG_RST,
    TYPE_DATA,
    TYPE_WINDOW_UPDATE,
    YamuxStream,
)

if TYPE_CHECKING:
    from node.network.yamux import BoundedYamux

HEADER_BYTES = 12
# Header and payload of one frame fill exactly one Noise message (65,535 less 16 of tag); libp2p's own 64 KiB
# frames spill a second, tiny message each (1.4x slower at 1.3 MB).
FRAME_BYTES_MAX = 65_519
PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES


class BoundedStream(YamuxStream):
    """A yamux stream whose buffered bytes never exceed the window it granted."""

    conn: BoundedYamux

    def __init__(self, stream_id: int, conn: BoundedYamux, is_initiator: bool) -> None:
        super().__init__(stream_id, conn, is_initiator)
        self.window_bytes = DEFAULT_WINDOW_SIZE
        self.granted_bytes = 0
        self.on_end: Callable[[], None] | None = None
        """Called when the stream is torn down, by the peer or with the connection."""
        self._unacknowledged = 0
        self._writable = trio.Event()
        self._write_order = trio.Lock()

    async def grow_window(self) -> None:
        """Grant the peer a large window at once (spec-conforming), as far as the peer's budget allows.

        With the default 256 KiB every large response stops to wait for credit.
        """
        if self.granted_bytes or self.closed or self.stream_id not in self.conn.streams:
            return
        self.granted_bytes = self.conn.windows.grant(self.conn.remote_key)
        if self.granted_bytes:
            self.window_bytes += self.granted_bytes
            self._credit(self.granted_bytes)

    def release_window(self) -> None:
        """Return the grant to the budget; called once, when the stream is forgotten."""
        self.conn.windows.release(self.conn.remote_key, self.granted_bytes)
        self.granted_bytes = 0

    def add_send_window(self, increment: int) -> None:
        """The peer grants `increment` more bytes."""
        self.send_window += increment
        self.wake()

    def wake(self) -> None:
        """Let a waiting writer look again."""
        self._writable.set()
        self._writable = trio.Event()
        if self.reset_received and self.on_end is not None:
            self.on_end()

    async def write(self, data: bytes) -> None:
        """Send all of `data`. Raises MuxedStreamError when the stream ends or the peer gives no credit."""
        view = memoryview(data)
        async with self._write_order:
            while view:
                while self.send_window <= 0 and not self._unwritable():
                    # libp2p polls here every 10 ms; waiting for the update itself costs nothing.
                    with trio.move_on_after(self.conn.limits.write_stall_s) as stall:
                        await self._writable.wait()
                    if stall.cancelled_caught:
                        raise MuxedStreamError("the peer granted no window in time")
                if self._unwritable():
                    raise MuxedStreamError("stream is closed for sending")
                size = min(self.send_window, PAYLOAD_BYTES_MAX, len(view))
                self.send_window -= size
                await self.conn.send_data(self.conn.frame(TYPE_DATA, 0, self.stream_id, size) + view[:size])
                view = view[size:]

    def _unwritable(self) -> bool:
        return self.closed or self.send_closed or self.conn.event_shutting_down.is_set()

    async def read(self, n: int | None = -1) -> bytes:
        """Return what has arrived, at most `n` bytes, waiting for at least one.

        Raises MuxedStreamEOF at the end of the stream, MuxedStreamReset when it was torn down.
        """
        while True:
            buffer = self.conn.stream_buffers.get(self.stream_id)
            if buffer:
                size = len(buffer) if n is None or n < 0 else min(n, len(buffer))
                data = bytes(buffer[:size])
                del buffer[:size]
                if self.closed and not buffer:
                    await self.conn._finalize_stream(self, fully_closed=True)
                else:
                    self._consumed(size)
                await trio.lowlevel.checkpoint()
                return data
            if self.reset_received:
                raise MuxedStreamReset("stream was reset")
            event = self.conn.stream_events.get(self.stream_id)
            if self.recv_closed or buffer is None or event is None:
                raise MuxedStreamEOF("stream is closed for receiving")
            await event.wait()
            if self.stream_id in self.conn.stream_events:
                self.conn.stream_events[self.stream_id] = trio.Event()

    def _consumed(self, size: int) -> None:
        # Credit in halves of the window: one update per many reads, and never more credit than the window.
        # (libp2p's auto-tuning over-grants and doubles windows to 16 MiB each, whatever the memory.)
        self._unacknowledged += size
        if self._unacknowledged * 2 >= self.window_bytes and not self.recv_closed:
            self._credit(self._unacknowledged)
            self._unacknowledged = 0

    def _credit(self, size: int) -> None:
        self.recv_window += size
        self.conn.send_control(self.conn.frame(TYPE_WINDOW_UPDATE, 0, self.stream_id, size))

    async def close(self) -> None:
        """Send FIN; the stream is forgotten once the peer has closed too."""
        if not self.send_closed:
            self.send_closed = True
            self.conn.send_control(self.conn.frame(TYPE_WINDOW_UPDATE, FLAG_FIN, self.stream_id, 0))
        self.closed = self.recv_closed
        self.wake()
        await self.conn._finalize_stream(self, fully_closed=self.closed)

    async def reset(self) -> None:
        """Tear the stream down in both directions at once; what was buffered is dropped."""
        if not self.closed:
            self.conn.send_control(self.conn.frame(TYPE_WINDOW_UPDATE, FLAG_RST, self.stream_id, 0))
        self.closed = self.send_closed = self.recv_closed = self.reset_received = True
        self.wake()
        buffer = self.conn.stream_buffers.get(self.stream_id)
        if buffer:
            buffer.clear()
        event = self.conn.stream_events.get(self.stream_id)
        if event is not None:
            event.set()
        await self.conn._finalize_stream(self, fully_closed=True)
