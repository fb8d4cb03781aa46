"""A node that a timer kills, pauses and restarts: it comes back, and nothing of it is left at the end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from node.testnet.failing import FailingNode

NODE = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(float(sys.argv[2]))
"""


def test_failing__starts_the_node_again_and_leaves_nothing_running(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if len(told) == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    node = FailingNode([sys.executable, "-S", "-c", NODE, str(starts), "60"], 0.15, 3, tell)
    before = signal.getsignal(signal.SIGTERM)
    assert node.run() == 0
    assert signal.getsignal(signal.SIGTERM) is before
    kinds = [word for line in told for word in ("killed", "paused", "stopped") if word in line]
    assert sorted(kinds[:3]) == sorted(kinds[3:]) == ["killed", "paused", "stopped"]
    pids = [int(line) for line in starts.read_text().split()]
    assert len(set(pids)) >= 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_failing__leaves_the_node_alone_after_so_many(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    told: list[str] = []
    command = [sys.executable, "-S", "-c", NODE, str(starts), "2"]
    node = FailingNode(command, 0.1, 1, told.append, times=3)
    # It ends by itself in the end, which the timer sees: only one that is left alone lives for so long.
    assert node.run() == 1
    assert len(told) == 3
    assert len(starts.read_text().split()) == 3


@pytest.mark.parametrize("status", [0, 3])
def test_failing__a_node_that_ends_by_itself_is_an_error(status: int) -> None:
    node = FailingNode([sys.executable, "-S", "-c", f"raise SystemExit({status})"], 0.2, 1)
    assert node.run() == (status or 1)
