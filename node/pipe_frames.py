"""A child process's end of its pipes: length-prefixed frames in, frames out, and nothing else in between."""

from __future__ import annotations

import os
import signal
import struct
import sys
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


def read_frame(source: BinaryIO) -> bytes | None:
    """The next frame; None when the node has closed the pipe."""
    prefix = source.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return None
    (size,) = PREFIX.unpack(prefix)
    if size > FRAME_BYTES_MAX:
        return None
    frame = source.read(size)
    return frame if len(frame) == size else None


def write_frame(sink: BinaryIO, data: bytes) -> None:
    """Send one frame."""
    sink.write(PREFIX.pack(len(data)) + data)
    sink.flush()
