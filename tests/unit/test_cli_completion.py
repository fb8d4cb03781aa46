"""Completion: each script is one its shell takes, and it asks the command what may follow."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.cli import deltamesh, process


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script__names_the_command_and_asks_it(shell: str) -> None:
    ended = deltamesh("completion", shell)
    assert ended.code == 0
    assert f"_DELTAMESH_COMPLETE=complete_{shell}" in ended.out
    if shutil.which(shell):
        taken = subprocess.run([shell, "-n"], input=ended.out, capture_output=True, text=True, check=False)
        assert (taken.returncode, taken.stderr) == (0, "")


def test_completion__of_a_shell_there_is_no_script_for_is_wrong_usage() -> None:
    assert deltamesh("completion", "tcsh").code == 2


def test_completion__offers_the_commands_that_begin_so() -> None:
    asked = {"_DELTAMESH_COMPLETE": "complete_bash", "COMP_WORDS": "deltamesh ro", "COMP_CWORD": "1"}
    ended = process(before=f"import os; os.environ.update({asked!r})")
    assert ended.code == 0, ended.err
    assert ended.out.split() == ["rounds"]
