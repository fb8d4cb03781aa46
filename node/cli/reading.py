"""A user's data read for a command: a bar while there are many files, a note on what was left out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.output import Progress, note, progress

if TYPE_CHECKING:
    from node.modalities import Loading

Load = Callable[..., list[bytes]]
"""`node.modalities.load_items` or `load_challenge_items`."""


def read_items(load: Load, modality: str, source: Path | None) -> list[bytes]:
    """The distinct canonical items of a source. Raises CorpusError."""
    bar: Progress | None = None
    with ExitStack() as stack:

        def show(loading: Loading) -> None:
            nonlocal bar
            # How many files there are is known when the first is done.
            if bar is None:
                bar = stack.enter_context(progress("reading", loading.files))
            bar.step()

        return load(modality, source, tell=note, on_loading=show)
