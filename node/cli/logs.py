"""`deltamesh logs`: what a node has logged, read from its data directory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.duration import duration_ms
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    checked_key,
    existing_directory,
    settings_of,
)
from node.cli.output import note, now_ms, say

if TYPE_CHECKING:
    from node.log_reading import Choice, LogReader

LINES_SHOWN = 100
LINES_MAX = 1_000_000
LOOK_EVERY_S = 0.25


class Level(StrEnum):
    """What `--level` takes."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def logs(
    lines: Annotated[
        int, typer.Option("-n", "--lines", metavar="N", help="How many of the newest.", min=0, max=LINES_MAX)
    ] = LINES_SHOWN,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")
    ] = False,
    level: Annotated[Level, typer.Option("--level", help="This level and graver ones.")] = Level.DEBUG,
    event: Annotated[
        str, typer.Option("--event", metavar="PATTERN", help="As 'round.*' or peer.penalised.")
    ] = "",
    round_: Annotated[int | None, typer.Option("--round", metavar="N", help="Only of this round.")] = None,
    peer: Annotated[str | None, typer.Option("--peer", metavar="KEY", help="Only about this peer.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="LENGTH", help="Only of the last 90s, 10m, 1h or 2d.")
    ] = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Print what the node has logged, across rotated files: for people on a terminal, JSON lines elsewhere.

    The node need not run. Whatever peers put into an entry, it is one line without control characters.
    """
    from node.log_reading import Choice, LogReader
    from node.logs import FILE_NAME

    since_ms = None if since is None else now_ms() - duration_ms(since, "--since")
    choice = Choice(level.value, event, round_, "" if peer is None else checked_key(peer), since_ms)
    directory = existing_directory(settings_of(home, network))
    reader = LogReader(directory.logs)
    shown = 0
    try:
        for entry in _entries(reader, lines, choice, follow):
            shown += 1
            _show(entry, json_)
    except KeyboardInterrupt:
        # That is how following ends.
        return
    finally:
        reader.close()
    if not shown:
        empty = not any(directory.logs.glob(f"{FILE_NAME}*"))
        note(
            f"There is no log in {directory.logs} yet: the node writes it when it runs."
            if empty
            else f"Nothing of that kind is in {directory.logs}."
        )


def _entries(reader: LogReader, lines: int, choice: Choice, follow: bool) -> Iterator[dict[str, Any]]:
    yield from reader.newest(lines, choice)
    while follow:
        yield from reader.more(choice)
        sys.stdout.flush()
        time.sleep(LOOK_EVERY_S)


def _show(entry: dict[str, Any], json_: bool) -> None:
    if json_ or not sys.stdout.isatty():
        # ASCII: escapes what steers a terminal, and half a character too.
        say(json.dumps(entry))
    else:
        from node.cli.log_view import line_of

        say(line_of(entry))
