"""How the search process is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from node.model_process.client import thread_environment

# -P: a folder called `node` where the user happens to be is not ours.
COMMAND: Final = (sys.executable, "-P", "-m", "node.search_process")
_PACKAGES: Final = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """This process's environment, with one thread for numerics and the place of our packages."""
    paths = (str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")]))
    return {**os.environ, **thread_environment(1), "PYTHONPATH": os.pathsep.join(paths)}
