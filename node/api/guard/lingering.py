"""A transport that closes so that a refused client can read why, and sends short answers in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from node.api.guard.limits import Limits

DROPPED_BYTES_MAX: Final = 64 << 20
"""Read and dropped after a refusal at most; then the connection is cut."""


class LingeringTransport(asyncio.Transport):
    """Another transport, but for `close`: what the client still sends is dropped for a while first.
    And for `write`: two in a row, such as the head of an answer and its body, are one to the system.

    Closing a socket with unread bytes in it makes the system send a reset, which destroys the answer under
    way (RFC 9112, 9.6). `is_partial` says whether the client is in the middle of a request.
    """

    def __init__(
        self,
        inner: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        is_partial: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._limits = limits
        self._is_partial = is_partial
        self._is_lingering = False
        self._dropped_bytes = 0
        self._held = b""
        """What was written last, until the loop has run what is ready."""

    def close(self) -> None:
        """Close when all is written and, in the middle of a request, the rest of it has been dropped."""
        if self._is_lingering or self._inner.is_closing():
            return
        self._send_held()
        if not self._is_partial() or not self._inner.can_write_eof():
            # An answer that nobody reads would keep it open for ever.
            self._loop.call_later(self._limits.write_s, self._inner.abort)
            self._inner.close()
            return
        self._loop.call_later(self._limits.linger_s, self._inner.abort)
        self._is_lingering = True
        self._inner.write_eof()
        self._inner.resume_reading()

    def drop(self, size_bytes: int) -> None:
        """Bytes came after `close`: they are not looked at."""
        self._dropped_bytes += size_bytes
        if self._dropped_bytes > DROPPED_BYTES_MAX:
            self._inner.abort()

    def is_closing(self) -> bool:
        """Whether nothing more is to be written."""
        return self._is_lingering or self._inner.is_closing()

    def abort(self) -> None:
        """Cut the connection."""
        self._held = b""
        self._inner.abort()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write, unless it is closing."""
        if self.is_closing() or not data:
            return
        if self._held:
            # Not held for long: a writer that is told to pause has to be told in time.
            self._held, data = b"", b"".join((self._held, data))
            self._inner.write(data)
        else:
            self._held = bytes(data)  # the writer may go on in its own
            self._loop.call_soon(self._send_held)

    def _send_held(self) -> None:
        if self._held:
            data, self._held = self._held, b""
            self._inner.write(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the inner one tells."""
        return self._inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read nothing for a while."""
        if not self.is_closing():
            self._inner.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self.is_closing():
            self._inner.resume_reading()

    def get_write_buffer_size(self) -> int:
        """Bytes that wait to be sent."""
        return self._inner.get_write_buffer_size() + len(self._held)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand the connection to another protocol."""
        self._inner.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told of what comes."""
        return self._inner.get_protocol()
