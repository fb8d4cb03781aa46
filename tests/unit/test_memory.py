"""Freed memory goes back to the system, where the C library is glibc."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import trio
from trio.testing import MockClock

import node.memory
from node.child_process import child_environment
from node.memory import GIVE_BACK_EVERY_S, keep_giving_back

HOLES = """
import sys
from node.memory import give_back_free_memory, give_back_now

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

give_back_free_memory()
blocks = [bytes([number]) * 600_000 for number in range(100)]  # under the size of which each is mapped alone
full = resident()
blocks = blocks[-1:]  # lies at the top: the others are holes below it
holes = resident()
give_back_now()
print(full - holes, holes - resident())
"""
LARGE = """
from node.memory import give_back_free_memory
give_back_free_memory()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

before = resident()
for number in range(4):
    block, last = b"x" * 24_000_000, b"y" * 600_000
    del block
print(resident() - before)
"""


def _said(script: str) -> list[int]:
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=child_environment({})
    )
    return [int(word) for word in found.stdout.split()]


pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc"
)


def test_holes_between_blocks_in_use__are_given_back_when_told() -> None:
    kept, given_back = _said(HOLES)
    assert kept < 30_000_000, "the library gave them back by itself: the test shows nothing"
    assert given_back > 40_000_000


def test_large_blocks__are_given_back_as_they_are_freed() -> None:
    assert _said(LARGE)[0] < 8_000_000


def test_a_node__gives_back_every_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    given = list[float]()

    async def hour() -> None:
        began_s = trio.current_time()
        monkeypatch.setattr(node.memory, "give_back_now", lambda: given.append(0.0))
        with trio.move_on_after(3600 + GIVE_BACK_EVERY_S / 2):
            await keep_giving_back()
        assert trio.current_time() - began_s == pytest.approx(3600 + GIVE_BACK_EVERY_S / 2)

    trio.run(hour, clock=MockClock(autojump_threshold=0.01))
    assert len(given) == 3600 / GIVE_BACK_EVERY_S
