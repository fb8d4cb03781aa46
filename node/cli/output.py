"""What commands print: results to standard output, remarks to standard error, JSON when asked for."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import typer

from node.terminal_text import escaped_json

if TYPE_CHECKING:
    from rich.console import Console

KEY_DIGITS: Final = 8
"""Hexadecimal digits a key is abbreviated to, everywhere."""
PIPE_WIDTH: Final = 160
"""Columns where standard output is no terminal."""
PROGRESS_STEPS_MIN: Final = 200
"""Shorter work shows no progress bar."""


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def say(text: str) -> None:
    """One line of result, on standard output."""
    typer.echo(text)


def note(text: str) -> None:
    """One remark, on standard error."""
    typer.echo(text, err=True)


def note_error(sentence: str) -> None:
    """Why a command ends: whatever strangers put into it, such as an API that was asked, steers nothing."""
    note("error: " + "\n".join(map(printable, sentence.split("\n"))))


def print_json(document: object) -> None:
    """A JSON document on standard output; NaN and infinities become null, as JSON has neither."""
    text = json.dumps(_plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    typer.echo(escaped_json(text))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[str] = frozenset()
) -> None:
    """A table on standard output; columns named in `right` are numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    for column in columns:
        table.add_column(Text(column), justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _console(sys.stdout).print(table)


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and values below each other, on standard output."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        say(f"{name:<{width}}  {printable(value)}")


@contextmanager
def progress(label: str, total: int) -> Iterator[Progress]:
    """A progress bar on standard error while there is much to do and somebody to see it."""
    if total < PROGRESS_STEPS_MIN or not sys.stderr.isatty():
        yield Progress(None)
        return
    from rich.progress import Progress as Bars

    with Bars(console=_console(sys.stderr), transient=True) as bars:
        task = bars.add_task(label, total=total)
        yield Progress(lambda steps: bars.advance(task, steps))


class Progress:
    """How far a piece of work has come."""

    def __init__(self, advance: Any | None) -> None:
        self._advance = advance

    def step(self, steps: int = 1) -> None:
        """Say that so many steps more are done."""
        if self._advance is not None:
            self._advance(steps)


def short_key(key: bytes | str | None) -> str:
    """A key as tables show it: its first 8 hexadecimal digits, or a dash."""
    if not key:
        return "-"
    return (key.hex() if isinstance(key, bytes) else key)[:KEY_DIGITS]


def moment(at_ms: int) -> str:
    """A time as people read it, UTC."""
    at = _utc(at_ms)
    return "at no time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def time_of_day(at_ms: int) -> str:
    """Hour, minute and second of a time, UTC."""
    at = _utc(at_ms)
    return "--:--:--" if at is None else f"{at:%H:%M:%S}"


def _utc(at_ms: int) -> datetime | None:
    """None where strangers name a time of no year there is."""
    try:
        return datetime.fromtimestamp(at_ms / 1_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def span(length_ms: int) -> str:
    """A length of time in its two largest units: `3 h 5 min`."""
    seconds = max(0, length_ms) // 1_000
    if seconds < 60:
        return f"{max(0, length_ms) / 1_000:.1f} s"
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    if minutes < 60:
        return f"{minutes} min {seconds % 60} s"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{days} d {hours % 24} h"


def number(value: float | None) -> str:
    """A score or term: three decimals, a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def printable(text: str) -> str:
    """Text of strangers without what would steer the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def counted(count: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def error_console() -> Console:
    """Standard error, for what is drawn there."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    from rich.console import Console

    # Made anew each time: tests and pipes exchange the streams under us.
    return Console(file=file, width=None if file.isatty() else PIPE_WIDTH, highlight=False, markup=False)


def _plain(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
    return value
