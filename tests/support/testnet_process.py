"""`testnet up` as a process: started, waited for, and looked for what it left running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.support.cli import ROOT, Ended

MARKER = "TEST_OF_TESTNET_UP"
PATIENCE_S = 300.0
GONE_WITHIN_S = 10.0


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `testnet up`; its children are known by their environment."""
    command = [sys.executable, "-m", "node.cli", "testnet", "up", "--dir", str(folder / "net"), *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, MARKER: str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_of(folder: Path) -> list[psutil.Process]:
    """Living processes of a run."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get(MARKER) == str(folder) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def assert_nothing_runs(folder: Path) -> None:
    """Fail when a process of the run is left after a moment; end it all the same."""
    deadline_s = time.monotonic() + GONE_WITHIN_S
    while (left := left_of(folder)) and time.monotonic() < deadline_s:
        time.sleep(0.1)
    told = [one.pid for one in left]
    for one in left:
        one.kill()
    assert told == []


def end(run: subprocess.Popen[str], timeout_s: float = PATIENCE_S) -> Ended:
    try:
        out, err = run.communicate(timeout=timeout_s)
    finally:
        run.kill()
    return Ended(run.returncode, out, err)
