"""The processes of a local network: started together and stopped so that nothing is left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType

from node.stopping import SIGNALS
from node.testnet.plan import NETWORK, NodePlan

STOP_WITHIN_S = 9.5
"""A node ends within 9 s, or ends itself."""
LOG_NAME = "output.log"
_PR_SET_PDEATHSIG = 1


def command_line(plan: NodePlan) -> list[str]:
    """How a node is started; the same can be typed by hand."""
    command = [sys.executable, "-m", "node.cli", "run", plan.role]
    command += ["--home", str(plan.home), "--network", NETWORK]
    if plan.listen is not None:
        command += ["--listen", plan.listen]
    if plan.api is not None:
        command += ["--api", plan.api]
    if plan.metrics is not None:
        command += ["--metrics", plan.metrics]
    if plan.model is not None:
        command += ["--model", plan.model]
    if plan.learns:
        command += ["--learn"]
    if plan.cheat is not None:
        command += ["--cheat", plan.cheat]
    return command


class Fleet:
    """Running nodes by name."""

    def __init__(
        self, plans: Sequence[NodePlan], command: Callable[[NodePlan], list[str]] = command_line
    ) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._command = command
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._cut: set[str] = set()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_all(self) -> None:
        """Start every node."""
        for name in self._plans:
            self.start(name)

    def start(self, name: str) -> None:
        """Start one node, or start it again."""
        self._cut.discard(name)
        plan = self._plans[name]
        with (plan.directory / "logs" / LOG_NAME).open("ab") as log:
            self._processes[name] = subprocess.Popen(
                self._command(plan),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is for the fleet: it stops the nodes in order.
                start_new_session=True,
                preexec_fn=end_with_parent,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )

    def kill(self, name: str) -> None:
        """End a node without a chance to clean up, as a power cut would."""
        self._processes[name].kill()
        self._processes[name].wait()

    def cut(self, name: str) -> None:
        """Kill a node on purpose: until it is started again it does not count as fallen."""
        self._cut.add(name)
        self.kill(name)

    def is_down(self, name: str) -> bool:
        """Whether a node was killed on purpose and not started again."""
        return name in self._cut

    def pid(self, name: str) -> int:
        """Process id of a node."""
        return self._processes[name].pid

    def fallen(self) -> dict[str, int]:
        """Nodes that ended by themselves, with their exit status."""
        ended = {name: process.poll() for name, process in self._processes.items() if name not in self._cut}
        return {name: status for name, status in ended.items() if status is not None}

    def stop(self) -> None:
        """Stop every node: politely, and for good after STOP_WITHIN_S or at a signal meanwhile.

        Raises KeyboardInterrupt for that, once all have ended. In the main thread only.
        """
        with self._signals_kill() as was_told:
            for process in self._processes.values():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
            deadline_s = time.monotonic() + STOP_WITHIN_S
            for process in self._processes.values():
                try:
                    process.wait(max(0.0, deadline_s - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if was_told():
            raise KeyboardInterrupt

    def kill_all(self) -> None:
        """End every node at once, without a chance to clean up; their own processes end with their pipes."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    @contextlib.contextmanager
    def _signals_kill(self) -> Iterator[Callable[[], bool]]:
        told: list[int] = []

        def on_signal(number: int, frame: FrameType | None) -> None:
            told.append(number)
            self.kill_all()

        before = {number: signal.signal(number, on_signal) for number in SIGNALS}
        try:
            yield lambda: bool(told)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def last_words(self, name: str, lines: int = 5) -> str:
        """The end of a node's output."""
        path: Path = self._plans[name].directory / "logs" / LOG_NAME
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def end_with_parent() -> None:
    """Ask the system to end this process with its parent. Linux only; elsewhere nothing happens."""
    # Also when the fleet is killed without a chance to stop its nodes.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
