"""How far a model's alignment is: a bar while somebody watches, gone when it is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from node.cli.output import error_console


def anchors_bar() -> Callable[[int, int], None] | None:
    """Told (embedded, all); None where standard error is no terminal: the log says it there."""
    if not sys.stderr.isatty():
        return None
    bars: list[tuple[Any, Any]] = []  # one while it runs

    def told(done: int, total: int) -> None:
        from rich.progress import Progress

        if not bars:
            bar = Progress(console=error_console(), transient=True)
            bar.start()
            bars.append((bar, bar.add_task("aligning the model", total=total)))
        bar, task = bars[0]
        bar.update(task, completed=done)
        if done >= total:
            bar.stop()
            bars.clear()

    return told
