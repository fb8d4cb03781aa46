"""What every test shares: one thread, one async backend, seeded property tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

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
