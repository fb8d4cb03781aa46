"""Frames between a node and its processes: what a process does when its node is gone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.pipe_frames import FRAME_BYTES_MAX, HEAD_BYTES, PREFIX, ChildPipes
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
        bufsize=0,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    pipes = ChildPipes(child)
    pipes.send(b"3", 30.0)
    assert pipes.receive(30.0) == b"333"
    # Killed with a request on its way, as far as the process can tell.
    child.stdout.close()
    pipes.send(times.encode(), 30.0)
    child.stdin.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(30) == 0


class Far:
    """The far end of a child's pipes, held by the test itself."""

    def __init__(self) -> None:
        (self.requests, sink), (source, self.answers) = os.pipe(), os.pipe()
        self.stdin, self.stdout = os.fdopen(sink, "wb", 0), os.fdopen(source, "rb", 0)

    def __enter__(self) -> Far:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdin.close()
        self.stdout.close()
        for descriptor in (self.requests, self.answers):
            with contextlib.suppress(OSError):
                os.close(descriptor)


class Cut(ChildPipes):
    """Reads no more at once than it is told to, time after time."""

    def __init__(self, far: Far, sizes: list[int]) -> None:
        super().__init__(far)  # type: ignore[arg-type]  # it has both pipes, and nothing else is looked at
        self._sizes = cycle(sizes)

    def _read(self, size_bytes_max: int, until_s: float) -> bytes:
        return super()._read(min(size_bytes_max, next(self._sizes)), until_s)


@given(
    st.lists(st.binary(max_size=3 * HEAD_BYTES), max_size=5),
    st.lists(st.integers(1, 2 * HEAD_BYTES), min_size=1, max_size=9),
)
def test_frames__come_whole_and_in_order_however_the_pipe_cuts_them(
    frames: list[bytes], sizes: list[int]
) -> None:
    with Far() as far:
        pipes = Cut(far, sizes)
        assert pipes.is_idle()
        os.write(far.answers, b"".join(PREFIX.pack(len(one)) + one for one in frames))
        assert pipes.is_idle() == (not frames)
        assert [pipes.receive(5.0) for _ in frames] == frames
        assert pipes.is_idle()
        os.close(far.answers)
        assert not pipes.is_idle()
        with pytest.raises(EOFError):
            pipes.receive(5.0)


@pytest.mark.parametrize("size", [FRAME_BYTES_MAX + 1, 2**64 - 1])
def test_frame_over_the_limit__is_refused_before_its_memory_is_taken(size: int) -> None:
    with Far() as far:
        os.write(far.answers, PREFIX.pack(size) + b"and so on")
        with pytest.raises(EOFError, match="over the limit"):
            ChildPipes(far).receive(5.0)  # type: ignore[arg-type]


def test_frame_that_nobody_reads__is_given_up_at_its_deadline() -> None:
    with Far() as far, pytest.raises(TimeoutError):
        ChildPipes(far).send(bytes(1 << 21), 0.05)  # type: ignore[arg-type]


def test_answer_that_does_not_come_or_stops_halfway__is_given_up_at_its_deadline() -> None:
    with Far() as far:
        pipes = ChildPipes(far)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            pipes.receive(0.05)
        os.write(far.answers, PREFIX.pack(4) + b"hal")
        with pytest.raises(TimeoutError):
            pipes.receive(0.05)
