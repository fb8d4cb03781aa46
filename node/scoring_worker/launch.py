"""How the scoring process is started, by a validator or only to compile."""

from __future__ import annotations

from node.child_process import child_command, child_environment

COMPILE_ONLY = "--compile"
"""Argument that has the process compile what scoring needs, and end."""
COMMAND = child_command("node.scoring_worker")


def environment(threads: int) -> dict[str, str]:
    """This process's environment, with the number of threads."""
    return child_environment({"OMP_NUM_THREADS": str(threads)})
