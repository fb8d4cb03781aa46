"""A process that was told to stop ends: in order, in time, or at once when it is told again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.genesis import save_genesis
from node.stopping import INTERRUPTED, OVERDUE, OVERDUE_S, SIGNALS, STOP_WITHIN_S, first_signal
from node.testnet import fleet
from tests.support.cli import ROOT, directory_of
from tests.support.genesis import small_network

WAIT_S = 30.0
IN_TIME_S = 10

# A node whose role takes its time: it hangs, waits, or does not let go in a thread.
NODE = """
import sys, time
from pathlib import Path
import trio
import node.run
import node.stopping
from config.datadir import DataDir
from config.genesis import load_genesis
from config.settings import load_settings
from node.keys import NodeKey
from node.logs import set_up_logging

node.run.STOP_WITHIN_S = 0.2
if len(sys.argv) > 3:
    node.stopping.first_signal.__wrapped__.__defaults__ = (float(sys.argv[3]),)

async def role(stop):
    print("ready", flush=True)
    if sys.argv[2] == "hangs":
        time.sleep(60)
    elif sys.argv[2] == "holds":
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(time.sleep, 60)
    elif sys.argv[2] == "ignores":
        await trio.sleep_forever()
    await stop.wait()

settings = load_settings({"home": Path(sys.argv[1]), "network": "localnet"}, {})
directory = DataDir.open(settings.home, settings.network)
genesis = load_genesis(directory.genesis)
set_up_logging(directory.logs, "info", "json")
node.run._run(node.run.Node(settings, directory, genesis, NodeKey(b"1" * 32), print), role)
print("ended", flush=True)
"""


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is ready; killed at the end."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line == "ready\n", line
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def node(home: Path, how: str, *overdue_s: str) -> Iterator[subprocess.Popen[str]]:
    save_genesis(directory_of(home).genesis, small_network()[0])
    with running([sys.executable, "-c", NODE, str(home), how, *overdue_s]) as process:
        yield process


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal."""
    (line,) = [
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("SigCgt")
    ]
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


def test_bounds__leave_a_node_its_ten_seconds() -> None:
    assert STOP_WITHIN_S < OVERDUE_S < fleet.STOP_WITHIN_S < IN_TIME_S


@pytest.mark.slow
@pytest.mark.parametrize(("how", "number"), [("waits", signal.SIGTERM), ("ignores", signal.SIGINT)])
def test_first_signal__ends_the_node_in_order(tmp_path: Path, how: str, number: signal.Signals) -> None:
    with node(tmp_path, how) as process:
        process.send_signal(number)
        out, _ = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert "ended" in out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["hangs", "holds"])
def test_second_signal__ends_at_once_what_does_not_let_go(tmp_path: Path, how: str) -> None:
    with node(tmp_path, how) as process:
        process.send_signal(signal.SIGTERM)
        # The clock is set once the first one has been taken.
        deadline_s = time.monotonic() + WAIT_S
        while not catches(process.pid, signal.SIGALRM):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_S)
    assert process.returncode == INTERRUPTED


@pytest.mark.slow
@pytest.mark.parametrize("how", ["hangs", "holds"])
def test_node_that_does_not_let_go__is_ended_when_it_is_overdue(tmp_path: Path, how: str) -> None:
    with node(tmp_path, how, "0.5") as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == OVERDUE
    assert "did not stop in time" in err


def test_without_a_signal__the_handlers_before_come_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with first_signal(lambda _: None):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


FLEET = """
import sys
from pathlib import Path
from node.testnet.fleet import Fleet
from node.testnet.plan import NodePlan

home = Path(sys.argv[1])
plans = [NodePlan(f"node-{n}", "encoder", home / str(n), b"", None) for n in range(2)]
for plan in plans:
    (plan.directory / "logs").mkdir(parents=True)
obstinate = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); "
    "time.sleep(60)"
)
with Fleet(plans, lambda plan: [sys.executable, "-c", obstinate]) as fleet:
    fleet.start_all()
    while not all((plan.directory / "logs" / "output.log").read_text() for plan in plans):
        pass
    print("ready", flush=True)
print("ended", flush=True)
"""


@pytest.mark.slow
def test_signal_while_nodes_are_stopped__kills_those_that_are_left(tmp_path: Path) -> None:
    with running([sys.executable, "-c", FLEET, str(tmp_path)]) as process:
        assert process.stdout is not None
        deadline_s = time.monotonic() + WAIT_S
        while not catches(process.pid, signal.SIGTERM):
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT_S)
    assert "ended" not in out
    assert "KeyboardInterrupt" in err
    assert time.monotonic() - began_s < fleet.STOP_WITHIN_S - 2, "it did not wait for them"
