"""Listening to what happens, over as many connections as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx

from node.client.call import Call, raw
from node.client.errors import ClientError, OverloadedError, TimedOutError, UnreachableError
from node.client.retrying import RETRY_AFTER_MAX_S, Retrying
from node.client.sse import Event, EventReader
from node.client.wire import CONNECT_S

EVENTS: Final = Call("GET", "/v1/events", raw)
SILENCE_S: Final = 60.0
"""A comment comes every 15 s at least: a connection that says nothing for so long is broken."""
FAILURES_MAX: Final = 10
"""Connections in a row that bring no event, after which nobody is there."""
RETRY_MS_MAX: Final = 60_000


class Listening:
    """Where one listener is, from connection to connection."""

    def __init__(self, kinds: tuple[str, ...], last_id: int | None, retrying: Retrying) -> None:
        self._kinds = kinds
        self._retrying = retrying
        self._reader = EventReader(last_id)
        self._failures = 0

    def options(self) -> dict[str, Any]:
        """Arguments of `stream` for the next connection."""
        self._reader.restart()
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._reader.last_id is not None:
            headers["Last-Event-ID"] = str(self._reader.last_id)
        return {
            "method": EVENTS.method,
            "url": EVENTS.path,
            "headers": headers,
            "params": {"kinds": ",".join(self._kinds)} if self._kinds else {},
            "timeout": httpx.Timeout(CONNECT_S, read=SILENCE_S),
        }

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events a chunk completes. Raises BadAnswerError."""
        for event in self._reader.feed(chunk):
            self._failures = 0
            yield event

    def pause_s(self, error: ClientError) -> float:
        """How long to wait before connecting again. Raises `error` where that would not help."""
        self._failures += 1
        if (
            not isinstance(error, UnreachableError | TimedOutError | OverloadedError)
            or self._failures > FAILURES_MAX
        ):
            raise error
        asked_s = min((self._reader.retry_ms or 0), RETRY_MS_MAX) / 1_000
        if isinstance(error, OverloadedError) and error.retry_after_s is not None:
            asked_s = max(asked_s, min(error.retry_after_s, RETRY_AFTER_MAX_S))
        # Jitter on what is asked for: all listeners of a server that restarts are cut off at once.
        return asked_s + self._retrying.backoff_s(self._failures)
