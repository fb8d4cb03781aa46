"""Ending a process that was told to stop: in order and in time, and at once when it is told again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOP_WITHIN_S: Final = 7.0
"""After this the parts of a node that still work are cancelled."""
OVERDUE_S: Final = 9.0
"""After this the process ends whatever still holds it: a disk, a model, a library."""
INTERRUPTED: Final = 130
OVERDUE: Final = 1
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)

Told = Callable[[int], None]


@contextmanager
def first_signal(tell: Told, overdue_s: float = OVERDUE_S) -> Iterator[None]:
    """Within the block `tell(number)` hears of the first signal; the second ends the process at once.

    So does a clock, `overdue_s` after the first. Both go on after the block, until the process has ended, and
    count also where its event loop stands still. `tell` runs as a signal handler does, between any two
    instructions of the main thread, where alone this can be used.
    """
    told = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        for one in SIGNALS:
            signal.signal(one, _end)
        # Not a thread: to start one here could wait for ever for a lock that the main thread holds.
        signal.signal(signal.SIGALRM, _end_late)
        signal.setitimer(signal.ITIMER_REAL, overdue_s)
        tell(number)

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        if not told:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    # Without a log line: whoever holds the log's lock may be what hangs.
    os._exit(INTERRUPTED)


def _end_late(number: int, frame: FrameType | None) -> None:
    os.write(2, b"error: it did not stop in time and was ended; what was signed is on the disk\n")
    os._exit(OVERDUE)
