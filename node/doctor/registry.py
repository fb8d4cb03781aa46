"""The checks of `deltamesh doctor`, in the order of its report; docs/doctor.md has the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.doctor import packages
from node.doctor.checks import (
    disk,
    files,
    gpu,
    machine,
    membership,
    network,
    ports,
    running,
    settings,
    software,
)
from node.doctor.finding import Finding
from node.doctor.subject import Subject

QUICK_S: Final = 5.0
"""Deadline of what only reads a few files; far more than it takes, even on a busy machine."""
READING_S: Final = 15.0
"""Of what reads through a pool, a chain or a database."""
DIALLING_S: Final = 15.0
GPU_S: Final = 30.0


class Group(Enum):
    """What a check is about; the report is in this order."""

    SOFTWARE = "software"
    MACHINE = "machine"
    NODE = "node"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `run` may raise: that is told as a finding."""

    name: str
    group: Group
    asks: str
    """The question it answers, in one line."""
    run: Callable[[Subject], list[Finding]]
    deadline_s: float = QUICK_S


def _packages(_: Subject) -> list[Finding]:
    return packages.check()


CHECKS: Final = (
    Check("python", Group.SOFTWARE, "Is this a Python that deltamesh runs on?", software.check_python),
    Check(packages.CHECK, Group.SOFTWARE, "Are node, protocol, scoring and config ours alone?", _packages),
    Check(
        "versions", Group.SOFTWARE, "Are the libraries there, in versions that fit?", software.check_versions
    ),
    Check("extras", Group.SOFTWARE, "Which optional parts are installed?", software.check_extras),
    Check("processors", Group.MACHINE, "Can the threads that are set run at once?", machine.check_processors),
    Check("memory", Group.MACHINE, "Do the node and one shard's answers fit?", machine.check_memory),
    Check("disk", Group.MACHINE, "Is there room for what may be kept?", disk.check, READING_S),
    Check("open-files", Group.MACHINE, "May as many files be open as connections?", machine.check_open_files),
    Check("gpu", Group.MACHINE, "Can the device that is set be used?", gpu.check, GPU_S),
    Check("settings", Group.NODE, "What is set, where, and does it go together?", settings.check),
    Check("directory", Group.NODE, "Is the data directory whole, and this user's?", files.check_directory),
    Check("secrets", Group.NODE, "Can other users read what only the node should?", files.check_secrets),
    Check("lock", Group.NODE, "Does another process hold the directory?", files.check_lock),
    Check("store", Group.NODE, "Is the database whole, and of this version?", files.check_store, READING_S),
    Check("membership", Group.NODE, "Who is the node in its network?", membership.check, READING_S),
    Check("model", Group.NODE, "Is what an encoder embeds with there?", membership.check_model, READING_S),
    Check("ports", Group.NETWORK, "Are the ports free, or this node's own?", ports.check),
    Check("peers", Group.NETWORK, "Can the peers be dialled?", network.check_peers, DIALLING_S),
    Check("reachable", Group.NETWORK, "Can peers connect to this node?", network.check_reachable, DIALLING_S),
    Check("clock", Group.NETWORK, "Does the clock agree with the peers'?", network.check_clock, DIALLING_S),
    Check("running", Group.NETWORK, "Does the node run, and take part?", running.check),
)
