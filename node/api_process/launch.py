"""How the API process is started."""

from __future__ import annotations

from typing import Final

from node.child_process import child_command, child_environment

COMMAND: Final = child_command("node.api_process")


def environment() -> dict[str, str]:
    """This process's environment, with one thread for numerics."""
    return child_environment(
        dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    )
