"""Length-prefixed frames over a child process's pipes, at its end and at the node's."""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
from io import BufferedWriter
from time import monotonic
from typing import BinaryIO, Final

PREFIX: Final = struct.Struct(">Q")
FRAME_BYTES_MAX: Final = 1 << 30


def own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Where requests come from and answers go to; whatever else is printed goes to standard error."""
    # Ctrl-C reaches the whole group of processes; the node closes the pipe when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not end up between two frames.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sys.stdin.buffer, sink


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


def send_frame(descriptor: int, data: bytes) -> None:
    """Send one frame from the node. Raises OSError when the child is gone."""
    view = memoryview(PREFIX.pack(len(data)) + data)
    while view:
        view = view[os.write(descriptor, view) :]


def receive_frame(descriptor: int, within_s: float) -> bytes:
    """The child's next frame. Raises TimeoutError, EOFError when the child is gone or sends too much."""
    until_s = monotonic() + within_s
    (size,) = PREFIX.unpack(_read_exactly(descriptor, PREFIX.size, until_s))
    if size > FRAME_BYTES_MAX:
        raise EOFError("a frame over the limit")
    return _read_exactly(descriptor, size, until_s)


def _read_exactly(descriptor: int, size: int, until_s: float) -> bytes:
    received = bytearray()
    while len(received) < size:
        left_s = until_s - monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            raise TimeoutError
        chunk = os.read(descriptor, min(size - len(received), 1 << 20))
        if not chunk:
            raise EOFError("the child closed its pipe")
        received += chunk
    return bytes(received)
