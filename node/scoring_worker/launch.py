"""How the scoring process is started, by a validator or only to compile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

COMPILE_ONLY = "--compile"
"""Argument that has the process compile what scoring needs, and end."""
# -P: a folder called `node` where the user happens to be is not ours.
COMMAND = (sys.executable, "-P", "-m", "node.scoring_worker")
_PACKAGES = Path(__file__).resolve().parents[2]


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with the number of threads and the place of our packages."""
    paths = (str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")]))
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)}
