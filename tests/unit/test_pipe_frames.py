"""Frames between a node and its processes: what a process does when its node is gone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from node.pipe_frames import PREFIX, receive_frame
from tests.support.cli import ROOT

CHILD = """
from node.pipe_frames import own_pipes, read_frame, write_frame
source, sink = own_pipes()
while (frame := read_frame(source)) is not None:
    try:
        write_frame(sink, frame * int(frame))
    except Exception as error:  # as a model's does, that tells its node what went wrong
        write_frame(sink, str(error).encode())
"""


@pytest.mark.parametrize("times", ["1", "99999"])
def test_process_whose_node_was_killed__ends_without_a_word(times: str) -> None:
    """`times`: as often the frame is in the answer, which fits into the pipe or does not."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdin.write(PREFIX.pack(1) + b"3")
    child.stdin.flush()
    assert receive_frame(child.stdout.fileno(), 30.0) == b"333"
    # Killed with a request on its way, as far as the process can tell.
    child.stdout.close()
    child.stdin.write(PREFIX.pack(len(times)) + times.encode())
    child.stdin.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(30) == 0
