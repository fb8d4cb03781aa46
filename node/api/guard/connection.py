"""One connection: what uvicorn leaves unbounded of it (heads, time, pipelines, connections at one time)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from node.api.errors import ApiError, error_response
from node.api.guard.buckets import client_of, is_local
from node.api.guard.headers import with_security
from node.api.guard.limits import Limits
from node.api.guard.lingering import LingeringTransport

_FULL: Final = ApiError(
    429,
    "too many connections are open: close some, or come back later",
    code="connections",
    headers={"Retry-After": "10"},
)
_UNREADABLE: Final = ApiError(400, "this is no HTTP request: ask in HTTP 1.1", code="http")
_HEAD_TOO_LARGE: Final = ApiError(431, "the request's head is too large: send fewer and shorter headers")
_TOO_SLOW: Final = ApiError(408, "the request took too long to come: send it anew, in one go")


class Doors:
    """How many connections are open, in all and of each address. On one loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open = 0
        self._of: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Connections open now."""
        return self._open

    def enter(self, host: str) -> bool:
        """Count a connection; False where there is no room for it, and it is not counted."""
        address = client_of(host, None)
        crowded = not is_local(host) and self._of[address] >= self._limits.connections_per_address_max
        if crowded or self._open >= self._limits.connections_max:
            if not self._of[address]:
                del self._of[address]
            return False
        self._open += 1
        self._of[address] += 1
        return True

    def leave(self, host: str) -> None:
        """A connection that was counted has ended."""
        address = client_of(host, None)
        self._open -= 1
        self._of[address] -= 1
        if not self._of[address]:
            del self._of[address]


def protocol_of(limits: Limits) -> Callable[..., GuardedConnection]:
    """What uvicorn makes for each connection of one server."""
    doors = Doors(limits)

    def make(*arguments: Any, **named: Any) -> GuardedConnection:
        return GuardedConnection(limits, doors, *arguments, **named)

    return make


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection with bounds. However it ends, the client is told, or the connection closed."""

    def __init__(self, limits: Limits, doors: Doors, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._doors = doors
        self._host = ""
        self._is_counted = False
        self._head_bytes = 0
        self._is_partial = False
        """Whether a request has begun that is not whole."""
        self._in_body = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there."""
        self._lingering = LingeringTransport(transport, self.loop, self._limits, lambda: self._is_partial)
        super().connection_made(self._lingering)
        self._host = self.client[0] if self.client else ""
        self._is_counted = self._doors.enter(self._host)
        if self._is_counted:
            self._expect(self._limits.head_s)
        else:
            # Whatever it has sent already would turn the answer into a reset.
            self._is_partial = True
            self._turn_away(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._expect(None)
        self.resume_writing()
        if self._is_counted:
            self._is_counted = False
            self._doors.leave(self._host)
        super().connection_lost(exc)
        self.pipeline.clear()
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Bytes came: parsed within bounds, dropped once the connection is to close."""
        if self.transport.is_closing():
            self._lingering.drop(len(data))
            return
        if not self._in_body:
            # The parser keeps an unfinished header without a word. What else one read brings counts too.
            self._head_bytes += len(data)
        if self._deadline is None and self._is_idle():
            self._expect(self._limits.head_s)
        super().data_received(data)
        if self._is_partial and not self._in_body and self._head_bytes > self._limits.head_bytes_max:
            self._turn_away(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_partial, self._in_body = True, False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; those after a chunked body are dropped: uvicorn would add them to the first ones."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is whole. Raises ValueError for one too many in the pipeline, which ends the connection."""
        if len(self.pipeline) >= self._limits.pipelined_max:
            raise ValueError("too many requests wait in the pipeline")
        self._in_body, self._head_bytes = True, 0
        self._expect(self._limits.body_s)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._is_partial = self._in_body = False
        self._expect(None)
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Turn away what is no HTTP."""
        self._turn_away(_UNREADABLE)

    def _unsupported_upgrade_warning(self) -> None:
        # The request is answered as it stands, but the parser reads no further one after it.
        self.cycle.keep_alive = False

    def pause_writing(self) -> None:
        """The client does not keep up with its answer."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.write_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect(self, within_s: float | None) -> None:
        """Something must come within so long; None: nothing need."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if within_s is None else self.loop.call_later(within_s, self._overdue)

    def _overdue(self) -> None:
        self._deadline = None
        if self.flow.read_paused:
            # It is this side that does not read: an earlier request of the connection is being answered.
            self._expect(self._limits.body_s)
        elif self._is_partial:
            self._turn_away(_TOO_SLOW)
        else:
            self.transport.close()

    def _turn_away(self, error: ApiError) -> None:
        """Refuse and close. An answer that has begun is not written into: the client sees it break off."""
        self._expect(None)
        if self.cycle is not None and not self.cycle.response_complete:
            clean = not self.pipeline and not self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if not clean:
                self.transport.abort()
                return
        response = error_response(error)
        headers = with_security([*response.raw_headers, (b"connection", b"close")])
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + bytes(response.body))
        self.transport.close()
