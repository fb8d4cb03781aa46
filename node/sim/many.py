"""Many simulations beside each other, each in one process and thread; outcomes come in the order of seeds."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context

from node.sim.run import Outcome, simulate
from node.sim.scenario import Scenario

CHUNK = 8
"""Seeds handed to a process at once: handing over costs less than a thousandth of running them."""
COLLECT_AFTER = 50_000
"""Objects made and not yet freed; 700 is Python's own."""


def simulate_many(
    scenarios: Sequence[Scenario], processes: int, *, keep_trace: bool = False
) -> Iterator[Outcome]:
    """The outcomes of all, as they come; `processes` share the work."""
    run = partial(simulate, keep_trace=keep_trace)
    if processes == 1 or len(scenarios) == 1:
        before = gc.get_threshold()
        _collect_rarely()
        try:
            yield from map(run, scenarios)
        finally:
            gc.set_threshold(*before)
        return
    # Spawned, not forked: a fork would copy whatever threads the libraries of this process hold.
    with get_context("spawn").Pool(processes, _begin) as pool:
        yield from pool.imap(run, scenarios, CHUNK)


def _begin() -> None:
    # Ctrl-C is for the process that waits; it ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _collect_rarely()


def _collect_rarely() -> None:
    """A simulation allocates much and frees it by itself: looking for cycles cost a fifteenth of its time."""
    gc.set_threshold(COLLECT_AFTER, 20, 50)
