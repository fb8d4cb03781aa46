"""How the API process is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

# -P: a folder called `node` where the user happens to be is not ours.
COMMAND: Final = (sys.executable, "-P", "-m", "node.api_process")
_PACKAGES: Final = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    """This process's environment, with one thread for numerics and the place of our packages."""
    paths = (str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")]))
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "PYTHONPATH": os.pathsep.join(paths)}
