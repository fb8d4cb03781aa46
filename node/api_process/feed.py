"""What the node tells its API process: kept in bounded memory, whether anybody reads it or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog
import trio

from node.api_process.wire import EVENTS_A_FRAME, KEPT_EVENTS, Measured, Setup, Tidings, Told, told
from node.clock import now_ms
from node.status import NodeStatus, with_peers_written

if TYPE_CHECKING:
    from node.network.counters import Counters

log = structlog.get_logger(__name__)


class Feed:
    """The newest events and the newest status. Publishing never waits and never fails, from any thread."""

    def __init__(self, measure: Callable[[], Measured], counters: Counters) -> None:
        self._measure = measure
        self._counters = counters
        self._lock = Lock()
        # From the clock: a listener that comes back after the node started again has an older number.
        self._last = now_ms()
        self._kept: deque[Told] = deque(maxlen=KEPT_EVENTS)
        self._status: NodeStatus | None = None
        self._news = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._is_called = False

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell all who listen; of more than KEPT_EVENTS that nobody has read the oldest go."""
        with self._lock:
            try:
                event = told(self._last + 1, kind, data)
            except (ValueError, TypeError) as error:
                log.warning("api.untold", kind=kind, reason=str(error))
                return
            self._last = event.id
            self._kept.append(event)
        self._call()

    def tell(self, status: NodeStatus) -> None:
        """The newest status; the one before it is forgotten."""
        with self._lock:
            self._status = with_peers_written(status)
        self._call()

    async def news(self) -> None:
        """Wait until something was told since the last call. On the node's loop, by one task."""
        self._token = trio.lowlevel.current_trio_token()
        await self._news.wait()
        self._news = trio.Event()

    def _call(self) -> None:
        with self._lock:
            if self._token is None or self._is_called:
                return
            self._is_called = True
        try:
            self._token.run_sync_soon(self._came)
        except trio.RunFinishedError:
            return  # the node has stopped: nobody listens

    def _came(self) -> None:
        with self._lock:
            self._is_called = False
        self._news.set()


class Reader:
    """How far one API process has read a feed. On the node's loop."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._read = 0
        self._status: NodeStatus | None = None

    def setup(self, settings: bytes, genesis: bytes, node_pid: int, listening_fd: int) -> Setup:
        """All that is kept, for a process that begins."""
        feed = self._feed
        with feed._lock:
            events, self._read, self._status = tuple(feed._kept), feed._last, feed._status
        last_id = self._read - len(events)
        first = Tidings(events, self._status, feed._measure())
        return Setup(settings, genesis, node_pid, listening_fd, last_id, first)

    def next(self) -> Tidings | None:
        """What was told since, as much as one frame takes; None when all was read."""
        feed = self._feed
        with feed._lock:
            kept = min(feed._last - self._read, len(feed._kept))
            lost = feed._last - self._read - kept
            begin = len(feed._kept) - kept
            events = tuple(islice(feed._kept, begin, begin + EVENTS_A_FRAME))
            self._read += lost + len(events)
            status = None if feed._status is self._status else feed._status
        if lost:
            feed._counters.add("api.events_lost", lost)
        if status is None:
            return Tidings(events, None, None) if events else None
        self._status = status
        return Tidings(events, status, feed._measure())
