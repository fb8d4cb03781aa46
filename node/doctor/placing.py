"""Commands in remedies name the node as the user did: pasted, they are about the node that was looked at."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

OF_THE_NODE: Final = frozenset({"config", "doctor", "init", "rounds", "run", "token"})
"""Commands that a remedy gives for this very node; others are for no node, or for another one."""
_COMMAND: Final = re.compile(r"`deltamesh ([a-z]+)([^`]*)`")


def flags_given(home: Path | None, network: str | None) -> str:
    """The flags with which the user named the node, as a shell takes them; empty where there were none."""
    words = ["--home", str(home)] if home is not None else []
    words += ["--network", network] if network is not None else []
    return shlex.join(words)


def placed(remedy: str, flags: str) -> str:
    """The remedy, each command in it that is about this node with these flags, unless it names a node."""

    def with_flags(found: re.Match[str]) -> str:
        command, rest = found.groups()
        if not flags or command not in OF_THE_NODE or "--home" in rest:
            return found[0]
        return f"`deltamesh {command}{rest} {flags}`"

    return _COMMAND.sub(with_flags, remedy)
