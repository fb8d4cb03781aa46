"""A bar for work that tells how far it is, while somebody watches; gone when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.cli.output import error_console

Told = Callable[[int, int], None]
"""Told (done, in all)."""


@contextmanager
def told_bar(label: str) -> Iterator[Told | None]:
    """Pulses until it is told of the first step; None where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import Progress, TimeElapsedColumn

    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=error_console(), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
