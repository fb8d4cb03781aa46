"""How the node starts a process of its own packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PACKAGES: Final = Path(__file__).resolve().parents[1]


def child_command(module: str) -> tuple[str, ...]:
    """The command line that runs a module of ours with this interpreter."""
    # -P: a folder called `node` where the user happens to be is not ours.
    return (sys.executable, "-P", "-m", module)


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these changes, and the place of our packages first."""
    paths = (str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")]))
    return {**os.environ, **changes, "PYTHONPATH": os.pathsep.join(paths)}
