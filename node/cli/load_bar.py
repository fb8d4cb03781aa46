"""How far a model's loading is: a bar while somebody watches, gone when the model is ready."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from node.cli.output import error_console

if TYPE_CHECKING:
    from node.model_process.client import OnAnchors


def load_bar(model: str) -> AbstractContextManager[OnAnchors] | None:
    """For the time a model takes to load; None where standard error is no terminal: the log says it there."""
    return _LoadBar(model) if sys.stderr.isatty() else None


class _LoadBar:
    """Pulses while the model's files are read, then counts the anchors it is aligned on."""

    def __init__(self, model: str) -> None:
        from rich.progress import Progress, TimeElapsedColumn

        self._bar = Progress(*Progress.get_default_columns(), TimeElapsedColumn(), console=error_console())
        self._bar.live.transient = True
        self._task = self._bar.add_task(f"loading {model}", total=None)

    def __enter__(self) -> OnAnchors:
        self._bar.start()
        return self._told

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _told(self, done: int, total: int) -> None:
        self._bar.update(self._task, description="aligning the model", completed=done, total=total)
        if done >= total:
            self._bar.stop()
