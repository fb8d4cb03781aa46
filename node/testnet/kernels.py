"""The scoring kernels, compiled once before a local network starts, not by each of its validators."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.scoring_worker.launch import COMMAND, COMPILE_ONLY, environment


@contextmanager
def kernels_compiled(progress: Callable[[str], None]) -> Iterator[None]:
    """Compile beside the block's work; they are there when it ends. What fails here the validators log."""
    process = subprocess.Popen(
        [*COMMAND, COMPILE_ONLY],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(threads=1),
    )
    try:
        yield
        if process.poll() is None:
            progress("compiling the scoring kernels: once after an installation, some 20 s")
        process.wait()
    finally:
        process.kill()
        process.wait()
