"""Writes docs/reference/cli.md from the commands themselves: `python docs/generate_cli_reference.py`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from node.cli import app
from node.cli.errors import EXIT_CODE_LINES

TARGET = Path(__file__).parent / "reference" / "cli.md"

_TOP = """# Commands

<!-- Written by docs/generate_cli_reference.py; change the commands, then run it. -->

Every command takes `--help`. Those that read take `--json` and then print nothing else to standard output.
Remarks go to standard error. `--debug`, before the command, shows the traceback of an error.
"""


def reference() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    parts = [_TOP]
    parts += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {code.value} | {line} |" for code, line in EXIT_CODE_LINES.items()]
    parts.append("")
    for words, command in commands(root, ["deltamesh"]):
        parts += _section(words, command)
    return "\n".join(parts)


def commands(command: Any, words: list[str]) -> Iterator[tuple[list[str], Any]]:
    """Every command that can be run, in the order of `--help`."""
    children = getattr(command, "commands", {})
    if not children or getattr(command, "invoke_without_command", False):
        yield words, command
    for name, child in children.items():
        yield from commands(child, [*words, name])


def _section(words: list[str], command: Any) -> list[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
    usage = " ".join(
        [*words, *(_metavar(p).replace("\\|", "|") for p in arguments), *(["[OPTIONS]"] if options else [])]
    )
    lines = [f"## {' '.join(words)}", "", f"`{usage}`", "", inspect.cleandoc(command.help or ""), ""]
    rows = [(f"`{_metavar(p)}`", "", p) for p in arguments]
    rows += [(f"`{' '.join([p.opts[0], _value(p)]).strip()}`", _default(p), p) for p in options]
    if rows:
        lines += ["| argument or option | default | |", "|---|---|---|"]
        lines += [f"| {name} | {default} | {_cell(p.help)} |" for name, default, p in rows]
        lines.append("")
    return lines


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper()).replace("|", "\\|")


def _value(parameter: Any) -> str:
    if parameter.is_flag:
        return ""
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "\\|".join(str(choice.value) for choice in kind)
    return str(parameter.metavar or ("N" if kind is int else "TEXT"))


def _default(parameter: Any) -> str:
    plain = parameter.default is not None and not callable(parameter.default)
    shown = plain and parameter.default not in (False, (), []) and not parameter.required
    return f"`{parameter.default}`" if shown else ""


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(reference(), encoding="utf-8")
