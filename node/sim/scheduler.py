"""Virtual time: what happens next, one thing at a time, in an order that depends on nothing but the seed."""

from __future__ import annotations

import heapq
from collections.abc import Callable

WAITING_MAX = 100_000
"""Far above what honest networks of the simulator's sizes keep waiting; more means that something floods."""


class Flooded(Exception):  # noqa: N818 (says what it is)
    """More is waiting to happen than any bounded network could cause."""


class Scheduler:
    """Events in order of time, then of being scheduled."""

    def __init__(self, now_ms: int, waiting_max: int = WAITING_MAX) -> None:
        self.now_ms = now_ms
        self.events = 0
        """How many have happened."""
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._waiting_max = waiting_max
        self._scheduled = 0

    def at(self, at_ms: int, run: Callable[[], None]) -> None:
        """Have `run` called at a time, or now when it is past. Raises Flooded."""
        if len(self._waiting) >= self._waiting_max:
            raise Flooded(f"{self._waiting_max} events wait at once")
        self._scheduled += 1
        due_ms = at_ms if at_ms > self.now_ms else self.now_ms
        heapq.heappush(self._waiting, (due_ms, self._scheduled, run))

    def after(self, delay_ms: int, run: Callable[[], None]) -> None:
        """Have `run` called after a while."""
        self.at(self.now_ms + delay_ms, run)

    def run_until(self, end_ms: int) -> None:
        """Let everything happen that is due before `end_ms`."""
        while self._waiting and self._waiting[0][0] < end_ms:
            self.now_ms, _, run = heapq.heappop(self._waiting)
            self.events += 1
            run()
        self.now_ms = max(self.now_ms, end_ms)
