"""The scoring kernels, compiled once before a local network starts, not by each of its validators."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parents[2]


@contextmanager
def kernels_compiled(progress: Callable[[str], None]) -> Iterator[None]:
    """Compile beside the block's work; they are there when it ends. What fails here the validators log."""
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "node.scoring_worker", "--compile"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        yield
        if process.poll() is None:
            progress("compiling the scoring kernels, once")
        process.wait()
    finally:
        process.kill()
        process.wait()
