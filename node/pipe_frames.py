"""Length-prefixed frames over a child process's pipes, at its end and at the node's."""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
from io import BufferedWriter
from time import monotonic
from typing import BinaryIO, Final

PREFIX: Final = struct.Struct(">Q")
FRAME_BYTES_MAX: Final = 1 << 30
READ_BYTES: Final = 1 << 16
"""Asked of a pipe at once: as much as it holds."""
HEAD_BYTES: Final = 1 << 10
"""Asked for while it is not known how long a frame is: memory for more costs more than a second call."""


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Where requests come from and answers go to; whatever else is printed goes to standard error."""
    # Ctrl-C reaches the whole group of processes; the node closes the pipe when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not end up between two frames.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # The node must hear that this process has ended, also where a library has left forks of it behind.
    os.register_at_fork(after_in_child=lambda: os.close(sink.fileno()))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Room for a whole request of text: it is there after one call to the system.
    return os.fdopen(sys.stdin.fileno(), "rb", READ_BYTES, closefd=False), sink


def read_frame(source: BinaryIO, size_bytes_max: int = FRAME_BYTES_MAX) -> bytes | None:
    """The next frame; None when the node has closed the pipe, or sends more than so many bytes at once."""
    prefix = source.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return None
    (size,) = PREFIX.unpack(prefix)
    if size > size_bytes_max:
        return None
    frame = source.read(size)
    return frame if len(frame) == size else None


def write_frame(sink: BinaryIO, data: bytes) -> None:
    """Send one frame. Ends this process where nobody reads any more: the node was killed."""
    try:
        sink.write(PREFIX.pack(len(data)) + data)
        sink.flush()
    except BrokenPipeError:
        if isinstance(sink, BufferedWriter):
            sink.raw.close()  # or the end of the process would try to write the rest, and complain
        raise SystemExit(0) from None


class ChildPipes:
    """The node's end of a child's pipes. Waits for the child, but never longer than it is told to."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Of a process with both pipes and without buffers of its own."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._sink, self._source = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._sink, False)
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(self._sink, select.POLLOUT)
        self._readable.register(self._source, select.POLLIN)
        self._rest = b""  # came with the frame before

    def is_idle(self) -> bool:
        """Whether the child is there and has said nothing since the last frame, as far as its pipe tells."""
        return not self._rest and not self._readable.poll(0)

    def send(self, data: bytes, within_s: float) -> None:
        """Send one frame. Raises OSError when the child is gone, TimeoutError when it does not read it."""
        until_s = monotonic() + within_s
        view = memoryview(PREFIX.pack(len(data)) + data)
        while view:
            try:
                view = view[os.write(self._sink, view) :]
            except BlockingIOError:
                _wait(self._writable, until_s)

    def receive(self, within_s: float) -> bytes:
        """The child's next frame. Raises TimeoutError, EOFError when the child is gone or sends too much."""
        until_s = monotonic() + within_s
        # Frames are small as a rule, and one call to the system has all of one.
        head, self._rest = self._rest, b""
        while len(head) < PREFIX.size:
            head += self._read(HEAD_BYTES, until_s)
        (size,) = PREFIX.unpack_from(head)
        if size > FRAME_BYTES_MAX:
            raise EOFError("a frame over the limit")
        end = PREFIX.size + size
        if len(head) >= end:
            self._rest = head[end:]
            return head[PREFIX.size : end]
        body = bytearray(head[PREFIX.size :])
        while len(body) < size:
            body += self._read(min(size - len(body), READ_BYTES), until_s)
        return bytes(body)

    def _read(self, size_bytes_max: int, until_s: float) -> bytes:
        _wait(self._readable, until_s)
        chunk = os.read(self._source, size_bytes_max)
        if not chunk:
            raise EOFError("the child closed its pipe")
        return chunk


def _wait(poller: select.poll, until_s: float) -> None:
    left_s = until_s - monotonic()
    if left_s <= 0 or not poller.poll(left_s * 1000):
        raise TimeoutError
