"""Which of many servers is asked next: the least busy one, and one that failed only after a rest."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Condition
from time import monotonic
from typing import Final

AT_ONCE_PER_SERVER: Final = 4
PAUSE_S: Final = 0.25
"""Until a server that failed is asked again where no other is left; doubled each time to PAUSE_S_MAX."""
PAUSE_S_MAX: Final = 2.0
REST_S: Final = 2.0
"""Until it is asked again where others answer; doubled likewise to REST_S_MAX."""
REST_S_MAX: Final = 60.0
JITTER: Final = (0.5, 1.5)
"""Pauses and rests are drawn between these shares: who failed together must not come back together."""

# Of the standard library: this runs in the model's process, where whatever is logged goes to standard error.
_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Server:
    """One address, and what became of it lately."""

    url: str
    asked: int = 0
    in_flight: int = 0
    failures: int = 0
    """In a row; 0 once it has answered."""
    reason: str = ""
    again_s: float = 0.0
    """When it is asked again if no other is left."""
    rested_s: float = 0.0
    """When it is asked again in any case."""


class NoServerError(Exception):
    """None can be asked in time; the message says why."""


class Servers:
    """Shared by the threads that ask. A server that failed gets one request at a time until it answers."""

    def __init__(self, urls: Sequence[str], clock: Callable[[], float] = monotonic) -> None:
        self.all = tuple(Server(url) for url in urls)
        self._clock = clock
        self._changed = Condition()

    def take(self, until_s: float, refused: Collection[Server] = ()) -> Server:
        """The server to ask next, none of the `refused`; waits for one while there is time.

        Call `answered` or `failed` with it afterwards. Raises NoServerError.
        """
        left = [server for server in self.all if server not in refused]
        with self._changed:
            while True:
                now_s = self._clock()
                alone = all(server.failures for server in left)
                ready = [server for server in left if _is_ready(server, alone, now_s)]
                if ready:
                    # The one asked least among the least busy: in turns where all are as fast.
                    server = min(ready, key=lambda one: (one.failures > 0, one.in_flight, one.asked))
                    server.in_flight += 1
                    server.asked += 1
                    return server
                resting = [one for one in left if one.failures and not one.in_flight]
                wakes_s = min((_wakes_s(one, alone) for one in resting), default=until_s)
                busy = any(one.in_flight for one in left)
                if now_s >= until_s or (wakes_s > until_s and not busy):
                    raise NoServerError(next((one.reason for one in left if one.reason), "all are busy"))
                self._changed.wait(max(0.0, min(wakes_s, until_s) - now_s))

    def answered(self, server: Server) -> None:
        """It answered: it is as good as any other."""
        with self._changed:
            if server.failures:
                _log.warning("%s answers again", server.url)
            server.in_flight -= 1
            server.failures, server.reason = 0, ""
            self._changed.notify_all()

    def failed(self, server: Server, reason: str, retry_after_s: float | None = None) -> None:
        """It did not: others are asked meanwhile. What the server says of when to ask again is done."""
        with self._changed:
            server.in_flight -= 1
            server.failures, server.reason = server.failures + 1, reason
            now_s, doubled = self._clock(), 2 ** min(server.failures - 1, 10)
            drawn = random.uniform(*JITTER)
            told_s = 0.0 if retry_after_s is None else retry_after_s * random.uniform(1.0, JITTER[1])
            server.again_s = now_s + max(told_s, drawn * min(PAUSE_S * doubled, PAUSE_S_MAX))
            server.rested_s = now_s + max(told_s, drawn * min(REST_S * doubled, REST_S_MAX))
            if server.failures == 1:
                _log.warning("%s; others are asked meanwhile", reason)
            self._changed.notify_all()


def _wakes_s(server: Server, alone: bool) -> float:
    return server.again_s if alone else server.rested_s


def _is_ready(server: Server, alone: bool, now_s: float) -> bool:
    if server.failures:
        return not server.in_flight and _wakes_s(server, alone) <= now_s
    return server.in_flight < AT_ONCE_PER_SERVER
