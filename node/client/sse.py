"""Server-sent events, read from chunks of bytes as they come (WHATWG HTML, 9.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from node.client.errors import BadAnswerError

EVENT_BYTES_MAX: Final = 1 << 20
"""Of one event, and of what is waiting for the end of its line."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened at the validator asked."""

    id: int | None
    """Grows from event to event; what to ask for the ones after it. None where the server gave none."""
    kind: str
    data: dict[str, Any]


class EventReader:
    """Turns chunks into events. `last_id` and `retry_ms` are what a reconnection needs."""

    def __init__(self, last_id: int | None = None) -> None:
        self.last_id = last_id
        self.retry_ms: int | None = None
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []
        self._size_bytes = 0
        self._id: int | None = None

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that `chunk` completes. Raises BadAnswerError for a huge one or no object."""
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            event = self._line(line.rstrip(b"\r"))
            if event is not None:
                yield event
        if len(self._rest) + self._size_bytes > EVENT_BYTES_MAX:
            raise _too_large()

    def restart(self) -> None:
        """Forget the half event of a connection that broke."""
        self._rest, self._kind, self._data, self._size_bytes, self._id = b"", "", [], 0, None

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        self._size_bytes += len(line)
        if self._size_bytes > EVENT_BYTES_MAX:
            raise _too_large()
        name, _, value = line.decode(errors="replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if _is_number(value):
                self._id = int(value)
            case "retry" if _is_number(value):
                self.retry_ms = int(value)
        return None

    def _dispatch(self) -> Event | None:
        kind, data, name = self._kind or "message", "\n".join(self._data), self._id
        self._kind, self._data, self._size_bytes, self._id = "", [], 0, None
        if name is not None:
            self.last_id = name
        if not data:
            return None
        try:
            return Event(name, kind, msgspec.json.decode(data, type=dict[str, Any]))
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadAnswerError(
                f"an event of kind {kind[:40]!r} is no JSON object ({error}): is this the event stream of a "
                "deltamesh validator?"
            ) from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _too_large() -> BadAnswerError:
    return BadAnswerError(f"an event is larger than {EVENT_BYTES_MAX >> 10} KiB: no validator sends such")
