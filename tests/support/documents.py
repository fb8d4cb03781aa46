"""What tests of the documents need: the pages, the commands in them, and the tree of real commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from node.cli import app

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(deltamesh [^`\n]+)`")
# `sudo -u deltamesh` names a user, not the command.
_COMMAND = re.compile(r"(?:^|[\s/])(?<!-u )(deltamesh\s.*)")


def pages() -> list[Path]:
    """Every Markdown file a reader is led to."""
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def read(name: str) -> str:
    """A page by its path from the root."""
    return (ROOT / name).read_text(encoding="utf-8")


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of every `deltamesh ...` command of a page that is meant to be typed."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = _COMMAND.search(line)
            # Output of a command, indented, names commands too: those are typed as well.
            if found:
                yield _words(found[1])
    for inline in _INLINE.findall(text):
        yield _words(inline)


def _words(command: str) -> list[str]:
    return shlex.split(re.split(r"\s(?:\||>>?|&&|;|#)(?:\s|$)", command, maxsplit=1)[0])[1:]


@cache
def _tree() -> Any:
    return typer.main.get_command(app)


def mistake_in(words: list[str]) -> str | None:
    """Why the command line does not know these words; None when it does. Values are not looked at."""
    command = _tree()
    words = [word for word in words if word != "--debug"]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if getattr(command, "commands", {}) and not getattr(command, "invoke_without_command", False):
        return f"no such command: {words[0]}" if words and not words[0].startswith(("-", "...")) else None
    options = {name: p for p in command.params for name in p.opts if p.param_type_name == "option"}
    places = [p for p in command.params if p.param_type_name == "argument"]
    given = 0
    while words:
        word = words.pop(0)
        if word in ("...", "--help") or word.startswith("["):
            continue
        if word == "--":
            given += len(words)
            break
        if not word.startswith("--"):
            given += 1
            continue
        option = options.get(word)
        if option is None:
            return f"no such option: {word}"
        if not option.is_flag:
            if not words:
                return f"{word} needs a value"
            words.pop(0)
    many = any(p.nargs != 1 for p in places)
    return f"{given} arguments, it takes {len(places)}" if given > len(places) and not many else None
