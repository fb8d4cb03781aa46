"""How the search process is started."""

from __future__ import annotations

from typing import Final

from node.child_process import child_command, child_environment
from node.model_process.client import thread_environment

COMMAND: Final = child_command("node.search_process")


def environment() -> dict[str, str]:
    """This process's environment, with one thread for numerics."""
    return child_environment(thread_environment(1))
