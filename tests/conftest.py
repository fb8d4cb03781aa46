"""What every test shares: one thread, one async backend, seeded property tests."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from node.scoring_worker.launch import COMMAND, COMPILE_ONLY, environment

# Before torch is imported anywhere: tests run beside each other on few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Derandomised: what fails in one run fails in the next. `--hypothesis-profile=search` looks for new failures.
settings.register_profile("seeded", derandomize=True, deadline=None, database=None)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("seeded")


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run under trio, as the node does."""
    return "trio"


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder like `tmp_path`, at a short path: of a control socket's, 107 bytes are all there may be."""
    with tempfile.TemporaryDirectory(prefix="dm") as folder:
        yield Path(folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile the scoring kernels once before nodes start, not in each of them against a slot's deadline."""
    networked = any(item.get_closest_marker("network") for item in session.items)
    if networked and not session.config.option.collectonly:
        # Of pytest-xdist's processes the first compiles, the others find what it has kept.
        with (Path(tempfile.gettempdir()) / f"deltamesh-kernels-{os.getuid()}.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            subprocess.run([*COMMAND, COMPILE_ONLY], env=environment(threads=1), check=True, timeout=300)
