"""Frames on a request stream: a 4-byte length, a msgpack header of that length, then the raw payload.

request   [method, 0, payload bytes] response  ["", status, payload bytes]     payload is the answer, or
the reason in UTF-8 when status is not OK
"""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

import msgspec
import trio

HEADER_BYTES_MAX = 512
METHOD_BYTES_MAX = 128
REASON_BYTES_MAX = 512
_READ_AHEAD_BYTES = 64 * 1024

Header = tuple[str, int, int]
_decoder = msgspec.msgpack.Decoder(Header)
_encoder = msgspec.msgpack.Encoder()


class Status(IntEnum):
    """How a request ended."""

    OK = 0
    UNKNOWN_METHOD = 1
    TOO_LARGE = 2
    """The request exceeds what the method takes; the stream ends, its payload unread."""
    FAILED = 3
    """The handler raised; the reason names the exception, not its text."""
    REFUSED = 4
    """The handler refused, in its own words."""


class FrameError(Exception):
    """Bytes that are not a frame. No honest peer sends them."""


class ByteStream(Protocol):
    """What a frame is read from and written to."""

    async def read(self, n: int | None = None) -> bytes:
        """At most `n` bytes, at least one, or an exception at the end."""

    async def write(self, data: bytes) -> None:
        """All of `data`."""


def encode_header(method: str, status: int, size_bytes: int) -> bytes:
    """Length prefix and header of a frame whose payload has `size_bytes`."""
    header = _encoder.encode((method, status, size_bytes))
    return len(header).to_bytes(4, "big") + header


class FrameReader:
    """Reads frames with one buffer ahead: a single read of the muxer serves header and body (1.28x)."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes received beyond the last frame; between requests there should be none."""
        return len(self._buffer)

    async def header(self, *, started_s: float) -> Header:
        """The next header. Waits forever for its first byte, then `started_s` for the rest.

        Raises FrameError when it is malformed or late.
        """
        if not self._buffer:
            self._buffer += await self._more()
        with trio.move_on_after(started_s) as late:
            size = int.from_bytes(await self._exactly(4), "big")
            if size > HEADER_BYTES_MAX:
                raise FrameError(f"header of {size} bytes exceeds {HEADER_BYTES_MAX}")
            raw = await self._exactly(size)
        if late.cancelled_caught:
            raise FrameError("header started and never finished")
        try:
            method, status, payload_bytes = _decoder.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise FrameError("header is not [text, int, int]") from error
        if payload_bytes < 0 or len(method) > METHOD_BYTES_MAX:
            raise FrameError("header out of range")
        return method, status, payload_bytes

    async def payload(self, size_bytes: int) -> bytes:
        """Exactly the next `size_bytes`; the caller has checked them against its limit."""
        return await self._exactly(size_bytes)

    async def _exactly(self, size: int) -> bytes:
        buffer = self._buffer
        if len(buffer) < size <= _READ_AHEAD_BYTES:
            while len(buffer) < size:
                buffer += await self._more()
        if len(buffer) >= size:
            data = bytes(buffer[:size])
            del buffer[:size]
            return data
        # Large: collect the pieces as they come (never more memory than has arrived) and join them once.
        pieces = [bytes(buffer)]
        left = size - len(buffer)
        buffer.clear()
        while left:
            piece = await self._stream.read(left)
            if not piece:
                raise FrameError("stream ended inside a frame")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    async def _more(self) -> bytes:
        data = await self._stream.read(_READ_AHEAD_BYTES)
        if not data:
            raise FrameError("stream ended inside a frame")
        return data
