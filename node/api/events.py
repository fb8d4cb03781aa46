"""What happens in the node, handed on to those who listen: taken in on one thread, heard on a loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from node.api_process.wire import KEPT_EVENTS, Told, told

COMMENT: Final = b":\n\n"
"""Sent where nothing else is: it says that the line is open."""
LISTENER_EVENTS_MAX: Final = 2_048
"""Events one listener may be behind; a slower one is cut off, and comes back with what it has missed."""


WOKEN_AT_ONCE: Final = 8
WOKEN_EVERY_S: Final = 0.016
"""A thousand listeners woken in one go would keep all requests waiting for 60 ms an event, and rounds short
of a core. In turn they hear within two seconds, in one piece, what happened meanwhile; a few hear at once."""


class Kind(StrEnum):
    """What events are about."""

    STEP = "step"
    """A step of a round: dealt, locked, revealed, reported, attested, certified, void."""
    CERTIFIED = "certified"
    """A shard of a round is certified, and in the store."""
    EPOCH = "epoch"
    """An epoch begins."""
    EVIDENCE = "evidence"
    DISPUTE = "dispute"
    STATUS = "status"
    """Once a second."""
    MISSED = "missed"
    """Events were lost on the way to this listener: read again what hangs on them."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, and how it travels to all who listen by server-sent events."""

    id: int
    kind: str
    text: bytes
    frame: bytes

    @property
    def data(self) -> Any:
        """What the text says."""
        return msgspec.json.decode(self.text)


def _event(one: Told) -> Event:
    frame = b"id: %d\nevent: %s\ndata: %s\n\n" % (one.id, one.kind.encode(), one.text)
    return Event(one.id, one.kind, one.text, frame)


def _missed(number: int, after: int, oldest: int) -> Event:
    return _event(told(number, Kind.MISSED, {"after": after, "oldest": oldest}))


class EventHub:
    """Keeps the newest events and hands each to every listener. Taking in never waits and never fails."""

    def __init__(self, last_id: int = 0) -> None:
        """`last_id`: of the newest event there was."""
        self._lock = threading.Lock()
        self._last = last_id
        self._kept: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._undelivered: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        self._delivered = last_id
        self._listeners: set[Listener] = set()
        self._to_wake: dict[Listener, None] = {}
        self._closed = False
        self._hooks: dict[str, Callable[[], None]] = {}

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def take(self, events: Iterable[Told]) -> None:
        """Hand on what the node tells, in order; from one thread at a time, which may be any."""
        for one in events:
            hook = self._hooks.get(one.kind)
            if hook is not None:
                hook()
            with self._lock:
                if one.id != self._last + 1:
                    # Some were lost on the way here: who comes back must not take the rest for all.
                    self._kept.clear()
                self._last = one.id
                event = _event(one)
                self._kept.append(event)
                if self._loop is None:
                    continue
                self._undelivered.append(event)
                if not self._scheduled:
                    self._scheduled = self._call(self._deliver)

    def hook(self, kind: str, call: Callable[[], None]) -> None:
        """Call this at every event of a kind, on the thread that takes it in: it must not wait or fail."""
        self._hooks[kind] = call

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on this loop from now on."""
        with self._lock:
            self._loop = loop
            self._delivered = self._last

    def close(self) -> None:
        """End every listener; may be called from any thread."""
        with self._lock:
            self._closed = True
            self._call(self._end_all)

    def subscribe(self, last_id: int | None = None, kinds: Collection[str] = ()) -> Listener:
        """Listen, to some kinds or all, first to what was kept after `last_id`. On the loop only."""
        return Listener(self, last_id, frozenset(kinds))

    def _call(self, what: Callable[[], None]) -> bool:
        # Once the loop is closed nobody listens any more.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what)
                return True
        return False

    def _deliver(self) -> None:
        with self._lock:
            events, self._undelivered = self._undelivered, deque(maxlen=KEPT_EVENTS)
            self._scheduled = False
        for event in events:
            self._offer(event)
        idle = not self._to_wake
        self._to_wake.update(dict.fromkeys(listener for listener in self._listeners if listener.is_behind))
        if idle:
            self._wake_some()

    def _offer(self, event: Event) -> None:
        if event.id != self._delivered + 1:
            lost = _missed(event.id - 1, self._delivered, event.id)
            for listener in self._listeners:
                if listener.is_before(lost.id):
                    listener.missed(lost)
        self._delivered = event.id
        for listener in self._listeners:
            listener.offer(event)

    def _wake_some(self) -> None:
        for listener in list(islice(self._to_wake, WOKEN_AT_ONCE)):
            del self._to_wake[listener]
            listener.wake()
        if self._to_wake and self._loop is not None:
            self._loop.call_later(WOKEN_EVERY_S, self._wake_some)

    def _end_all(self) -> None:
        for listener in tuple(self._listeners):
            listener.end()

    def _enter(self, listener: Listener, last_id: int | None) -> None:
        with self._lock:
            kept, newest, closed = list(self._kept), self._last, self._closed
        if closed:
            listener.end()
            return
        if last_id is not None:
            oldest = kept[0].id if kept else newest + 1
            if not oldest - 1 <= last_id <= newest:
                listener.missed(_missed(oldest - 1, last_id, oldest))
            for event in kept:
                listener.offer(event)
        self._listeners.add(listener)

    def _leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        self._to_wake.pop(listener, None)


class Listener:
    """One who listens: an async context manager and iterator over events, in order."""

    def __init__(self, hub: EventHub, last_id: int | None, kinds: frozenset[str]) -> None:
        self._hub = hub
        self._last_id = last_id
        self._heard = -1 if last_id is None else last_id
        """What comes up to this number was heard: kept events may be on their way here too."""
        self._kinds = kinds
        self._waiting: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._ended = False
        self._told_s = 0.0
        """When it last began to wait."""
        self._silence: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._hub._enter(self, self._last_id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._silence is not None:
            self._silence.cancel()
        self._hub._leave(self)

    def offer(self, event: Event) -> None:
        """Queue an event that was not heard before; one too many ends the listening."""
        if self._ended or event.id <= self._heard:
            return
        self._heard = event.id
        if not self._kinds or event.kind in self._kinds:
            self._queue(event)

    def is_before(self, number: int) -> bool:
        """Whether it goes on, and an event of this number would be new to it."""
        return not self._ended and self._heard < number

    def missed(self, event: Event) -> None:
        """Queue the news that events are lost, whatever was asked for."""
        self._heard = event.id
        self._queue(event)

    def _queue(self, event: Event) -> None:
        if len(self._waiting) >= LISTENER_EVENTS_MAX:
            self.end()
            return
        self._waiting.append(event)

    @property
    def is_behind(self) -> bool:
        """Whether there is something to hear."""
        return bool(self._waiting)

    def wake(self) -> None:
        """Let the one who waits hear what is queued, if it has not by itself."""
        if self._waiting:
            self._arrived.set()

    def end(self) -> None:
        """Hear what is queued, and no more."""
        self._ended = True
        self._arrived.set()

    async def next(self) -> Event | None:
        """The next event; None when there are no more."""
        while not self._waiting:
            if self._ended:
                return None
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def frames(self, silence_s: float) -> bytes:
        """The frames of all that is queued; a comment after so long without any; nothing at the end.

        A timer that goes on from wait to wait, not `wait_for`: that makes a task of every wait, for every
        listener and event.
        """
        if not self._waiting and not self._ended:
            loop = asyncio.get_running_loop()
            self._told_s = loop.time()
            if self._silence is None:
                self._silence = loop.call_later(silence_s, self._look_for_silence, loop, silence_s)
            self._arrived.clear()
            await self._arrived.wait()
        if not self._waiting:
            return b"" if self._ended else COMMENT
        frames = b"".join(event.frame for event in self._waiting)
        self._waiting.clear()
        return frames

    def _look_for_silence(self, loop: asyncio.AbstractEventLoop, silence_s: float) -> None:
        left_s = self._told_s + silence_s - loop.time()
        if left_s > 0:
            self._silence = loop.call_later(left_s, self._look_for_silence, loop, silence_s)
        else:
            self._silence = None
            self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self.next()) is not None:
            yield event
