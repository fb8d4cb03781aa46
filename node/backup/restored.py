"""The mark of a data directory whose key was restored: a watch for another node with it is still owed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from config.datadir import DataDir

FILE_NAME: Final = "restored"


def restored_path(directory: DataDir) -> Path:
    """There from a restore until the node has watched."""
    return directory.root / FILE_NAME
