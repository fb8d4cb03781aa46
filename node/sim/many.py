"""Many simulations beside each other, each in one process and thread; outcomes come in the order of seeds."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing import get_context

from node.sim.run import Outcome, simulate
from node.sim.scenario import Scenario

CHUNK = 8
"""Seeds handed to a process at once: handing over costs less than a thousandth of running them."""


def simulate_many(
    scenarios: Sequence[Scenario], processes: int, *, keep_trace: bool = False
) -> Iterator[Outcome]:
    """The outcomes of all, as they come; `processes` share the work."""
    run = partial(simulate, keep_trace=keep_trace)
    if processes == 1 or len(scenarios) == 1:
        yield from map(run, scenarios)
        return
    # Spawned, not forked: a fork would copy whatever threads the libraries of this process hold.
    with get_context("spawn").Pool(processes, _leave_interrupts) as pool:
        yield from pool.imap(run, scenarios, CHUNK)


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that waits; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
