"""`testnet fail`: a node that is killed, paused and stopped by a timer beside it, and started again."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import FrameType
from typing import Final

from node.testnet.fleet import STOP_WITHIN_S, end_with_parent

PAUSE_SHARE: Final = 0.25
"""Of the time between failures: how long a node is paused, or away before it is started again."""


class Failure(Enum):
    """What happens to the node."""

    KILLED = "killed"
    """At once, as by a power cut."""
    PAUSED = "paused"
    """It goes on later, as after a machine that slept."""
    STOPPED = "stopped"
    """It is asked to stop, as by a restart."""


@dataclass
class FailingNode:
    """Runs `command` until it is told to stop, and fails it every `every_s` seconds, give or take a half.

    Every three failures are one of each kind, in an order that is drawn.
    """

    command: Sequence[str]
    every_s: float
    seed: int
    tell: Callable[[str], None] = lambda _: None
    times: int | None = None
    """After so many failures it is left alone; None: never."""
    _told_to_stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> int:
        """The exit status of a node that ended by itself with an error; 0 when told to stop by a signal."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return self._run(random.Random(self.seed))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self, draw: random.Random) -> int:
        process = self._start()
        left: list[Failure] = []
        done = 0
        try:
            while not self._told_to_stop.wait(self.every_s * draw.uniform(0.5, 1.5)):
                if process.poll() is not None:
                    # Not our doing: whoever started us decides about restarts, and sees the status.
                    return process.returncode or 1
                if done == self.times:
                    continue
                done += 1
                # None stays away for long by chance: whoever watches has soon seen them all.
                left = left or draw.sample(list(Failure), len(Failure))
                failure = left.pop()
                away_s = self.every_s * PAUSE_SHARE * draw.uniform(0.5, 1.5)
                self.tell(f"the node is {failure.value} for {away_s:.1f} s")
                process = self._fail(process, failure, away_s)
            return 0
        finally:
            _end(process)

    def _fail(
        self, process: subprocess.Popen[bytes], failure: Failure, away_s: float
    ) -> subprocess.Popen[bytes]:
        match failure:
            case Failure.PAUSED:
                process.send_signal(signal.SIGSTOP)
                self._told_to_stop.wait(away_s)
                process.send_signal(signal.SIGCONT)
                return process
            case Failure.KILLED:
                process.kill()
                process.wait()
            case Failure.STOPPED:
                _end(process)
        return process if self._told_to_stop.wait(away_s) else self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_parent
        )

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._told_to_stop.set()


def deltamesh_command(arguments: Sequence[str]) -> list[str]:
    """The command line of `deltamesh` with these arguments, in this very environment."""
    return [sys.executable, "-P", "-m", "node.cli", *arguments]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        process.send_signal(signal.SIGCONT)
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
