"""`deltamesh completion`: a script that completes commands in a shell."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated, Final

import typer

from node.cli.output import note, say

_PROGRAM: Final = "deltamesh"
VARIABLE: Final = "_DELTAMESH_COMPLETE"
"""By this the framework knows that a shell asks."""


class Shell(StrEnum):
    """The shells there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_INSTALL: Final = {
    Shell.BASH: "deltamesh completion bash > ~/.local/share/bash-completion/completions/deltamesh",
    Shell.ZSH: 'deltamesh completion zsh > "${fpath[1]}/_deltamesh"',
    Shell.FISH: "deltamesh completion fish > ~/.config/fish/completions/deltamesh.fish",
}


def completion(shell: Annotated[Shell, typer.Argument(help="Whose script.", metavar="SHELL")]) -> None:
    """Print the script that completes commands in bash, zsh or fish; put it where that shell looks.

    bash: `deltamesh completion bash > ~/.local/share/bash-completion/completions/deltamesh`,
    zsh: `deltamesh completion zsh > "${fpath[1]}/_deltamesh"`,
    fish: `deltamesh completion fish > ~/.config/fish/completions/deltamesh.fish`.
    """
    from typer._completion_shared import get_completion_script

    say(get_completion_script(prog_name=_PROGRAM, complete_var=VARIABLE, shell=shell.value))
    if sys.stdout.isatty():
        note(f"To install it: {_INSTALL[shell]}, then open a new shell.")
