"""One entry of a log as people read it: a line with the time, the event, the round and the peer first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import typer

from node.log_reading import time_of
from node.terminal_text import escaped

_COLOURS: Final = {"debug": "blue", "info": "green", "warning": "yellow", "error": "red", "critical": "red"}
_FIRST: Final = frozenset({"timestamp", "level", "event", "round", "shard", "peer", "logger"})
_TRACES: Final = ("exception", "stack")
_EVENT_WIDTH: Final = 24
VALUE_CHARACTERS_MAX: Final = 2_000


def line_of(entry: Mapping[str, Any]) -> str:
    """The entry with colours; only a traceback takes lines of its own, set off from those of the log."""
    level = str(entry.get("level", "?"))
    parts = [
        typer.style(_time(entry), dim=True),
        typer.style(f"{_text(level):<7}", fg=_COLOURS.get(level)),
        typer.style(f"{_text(entry.get('event', '')):<{_EVENT_WIDTH}}", bold=True),
    ]
    if "round" in entry:
        shard = f"/{_text(entry['shard'])}" if "shard" in entry else ""
        parts.append(typer.style(f"round {_text(entry['round'])}{shard}", fg="cyan"))
    if "peer" in entry:
        parts.append(typer.style(f"peer {_text(entry['peer'])}", fg="magenta"))
    for name, value in entry.items():
        if name not in _FIRST and name not in _TRACES:
            parts.append(typer.style(f"{_text(name)}=", dim=True) + _text(value))
    line = " ".join(parts)
    for name in _TRACES:
        if name in entry:
            line += "".join(f"\n    {_text(row)}" for row in str(entry[name]).split("\n"))
    return line


def _time(entry: Mapping[str, Any]) -> str:
    at_ms = time_of(entry)
    if at_ms is None:
        return "-"
    at = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ms % 1_000:03}"


def _text(value: object) -> str:
    text = escaped(value if isinstance(value, str) else repr(value))[:VALUE_CHARACTERS_MAX]
    # Half a character, as JSON can hold one, cannot be printed.
    return text.encode(errors="backslashreplace").decode()
