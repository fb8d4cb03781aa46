"""A process that lets others go first: its session too, if it shares it with none; it interrupts nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node import priority
from tests.support.documents import ROOT

AUTOGROUP = Path("/proc/self/autogroup")
SCRIPT = """
import os, sys
from pathlib import Path
from node.priority import give_way, leave_session
if "leave" in sys.argv[2:]:
    leave_session()
os.nice(7)
give_way(Path(sys.argv[1]))
file = Path(sys.argv[1])
print(file.read_text() if file.exists() else "nothing")
"""


def run(file: Path, *words: str) -> str:
    """What the file says after a process gave way."""
    command = [sys.executable, "-c", SCRIPT, str(file), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize(("words", "said"), [(("leave",), "7"), ((), "as it was")])
def test_give_way__speaks_for_its_own_session_only(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    file = tmp_path / "autogroup"
    file.write_text("as it was")
    assert run(file, *words) == said


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not group by sessions")
def test_give_way__is_what_the_kernel_takes() -> None:
    assert run(AUTOGROUP, "leave").endswith("nice 7")


def test_give_way__without_such_a_kernel_is_harmless(tmp_path: Path) -> None:
    assert run(tmp_path / "no such folder" / "autogroup", "leave") == "nothing"


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such class")
POLICIES = """
import os, subprocess, sys, threading
from node.priority import interrupt_nobody
print(os.sched_getscheduler(0))
interrupt_nobody()
print(os.sched_getscheduler(0))
thread = threading.Thread(target=lambda: print(os.sched_getscheduler(0)))
thread.start()
thread.join()
sys.stdout.flush()
subprocess.run([sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"], check=True)
"""


@LINUX
def test_interrupt_nobody__holds_for_the_threads_and_processes_that_follow() -> None:
    command = [sys.executable, "-c", POLICIES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [str(os.SCHED_OTHER), *[str(os.SCHED_BATCH)] * 3]


@LINUX
def test_interrupt_nobody__where_it_is_forbidden_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def forbidden(_: int, policy: int, __: object) -> None:
        asked.append(policy)
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    priority.interrupt_nobody()
    assert asked == [os.SCHED_BATCH]


def test_interrupt_nobody__elsewhere_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_setscheduler", raising=False)
    priority.interrupt_nobody()
