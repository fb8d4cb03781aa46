"""A terminal that is drawn anew until somebody presses q."""

from __future__ import annotations

import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live

QUIT_KEYS = frozenset({"q", "Q", "\x1b", "\x03"})
Draw = Callable[[int, int], RenderableType]
"""What is to be seen in so many columns and lines."""


def show_until_quit(draw: Draw, every_s: float) -> None:
    """Draw again and again on the whole screen, until q or Ctrl-C; the screen before comes back."""
    console = Console()
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(draw(console.width, console.height), refresh=True)
                if pressed(every_s) & QUIT_KEYS:
                    return
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[Callable[[float], set[str]]]:
    """A function that waits so long for keys and returns those pressed; without a terminal it only waits."""
    if not sys.stdin.isatty():

        def wait(seconds: float) -> set[str]:
            time.sleep(seconds)
            return set()

        yield wait
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> set[str]:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return {sys.stdin.read(1)} if ready else set()

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
