"""A node that kills itself, as a power cut would, at every boundary where it has not died before.

Run as a script, in place of `deltamesh run`. Which boundaries were the end of a life is told by files in
`--deaths`, so that each life comes one boundary further and several nodes share the work.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from config.settings import load_settings
from node.testnet.fleet import command_line
from node.testnet.plan import NODES_MAX, NodePlan


class Deaths:
    """Which boundaries, and at which of their times in one life, some node has died at. Bounded by both."""

    def __init__(self, directory: Path, times_each: int) -> None:
        self._directory = directory
        self._times_each = times_each
        self._reached: Counter[str] = Counter()
        self._mutex = threading.Lock()  # the signer runs in threads

    def die_if_new(self, boundary: str) -> None:
        """Called at every boundary; does not return from one nobody has died at before."""
        with self._mutex:
            self._reached[boundary] += 1
            time = self._reached[boundary]
            if time > self._times_each:
                return
            try:
                (self._directory / f"{boundary} #{time}").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)


def died_at(directory: Path) -> Counter[str]:
    """How often nodes have died at each boundary."""
    return Counter(path.name.partition(" #")[0] for path in directory.iterdir())


def crashing_command(plan: NodePlan, deaths: Path, times_each: int) -> list[str]:
    """How a crashing node is started in place of a sound one."""
    options = command_line(plan)
    at = options.index("--home")
    own = ["--deaths", str(deaths), "--times-each", str(times_each)]
    return [sys.executable, "-m", "tests.chaos.crashing_node", plan.role, *own, *options[at:]]


def main() -> None:
    """Run the node."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("validator", "encoder"))
    parser.add_argument("--deaths", type=Path, required=True)
    parser.add_argument("--times-each", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--listen", default=None)
    parser.add_argument("--api", default=None)
    parser.add_argument("--model", default=None)
    given = parser.parse_args()
    flags = {"home": given.home, "network": given.network, "model": given.model, "api": given.api}
    if given.listen is not None:
        flags["listen"] = (given.listen,)
    settings = load_settings({key: value for key, value in flags.items() if value is not None})
    deaths = Deaths(given.deaths, min(given.times_each, NODES_MAX))
    from node.run import run_encoder, run_validator

    run = run_validator if given.role == "validator" else run_encoder
    run(settings, at_boundary=deaths.die_if_new)


if __name__ == "__main__":
    main()
