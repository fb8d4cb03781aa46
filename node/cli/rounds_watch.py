"""`deltamesh rounds watch`: the rounds as they go."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from node.cli.options import HomeOption, JsonOption, NetworkOption, settings_of
from node.cli.output import printable, say, time_of_day
from node.cli.sources import TokenOption, UrlOption, asking

if TYPE_CHECKING:
    from rich.console import RenderableType

    from config.settings import Settings
    from node.cli.live.steps import SeenStep

LOOK_EVERY_S = 0.5


def watch(
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Watch rounds as they go: steps, how many encoders answered, certificates. Ctrl-C ends it.

    On a terminal a table that is drawn anew; in a pipe a line a step, with --json a JSON document a line.
    Exit code 4 when the node has stopped, 7 when its HTTP API answers no more.
    """
    settings = settings_of(home, network, url=url, token=token)
    if _is_terminal() and not json_:
        _on_screen(settings)
        return
    try:
        for step in _steps(settings):
            say(json.dumps(step.document()) if json_ else line_of(step))
            sys.stdout.flush()
    except KeyboardInterrupt:
        # That is how watching ends.
        return


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def line_of(step: SeenStep) -> str:
    """One step as people read it."""
    parts = [
        time_of_day(step.at_ms),
        f"round {step.round}/{step.shard}",
        printable(step.step) + (f" wave {step.wave}" if step.wave else ""),
    ]
    if step.step == "dealt":
        # Nobody can have answered what is only now asked.
        parts.append(f"{step.answered + step.missing} asked")
    elif step.answered or step.missing:
        parts.append(f"{step.answered} of {step.answered + step.missing} answered")
    if step.elapsed_ms:
        parts.append(f"{step.elapsed_ms / 1_000:.2f} s")
    if step.detail:
        parts.append(printable(step.detail))
    return "  ".join(parts)


def _steps(settings: Settings) -> Iterator[SeenStep]:
    from node.cli.live import steps
    from node.cli.live.opening import opened_gathering

    if settings.url:
        with asking(settings.url, settings.token) as client:
            # To ask it once tells at once whether anybody is there; the stream would try for long.
            client.status()
            yield from steps.from_events(client.events(("step",)))
        return
    with opened_gathering(settings) as gathering:
        while True:
            yield from steps.from_pictures(gathering.picture)
            _insist_on_running(settings)  # it may have been started again meanwhile


def _on_screen(settings: Settings) -> None:
    from node.cli.live.opening import opened_gathering
    from node.cli.live.screen import render_rounds
    from node.cli.live.terminal import show_until_quit
    from node.status import Liveness

    def draw(width: int, height: int) -> RenderableType:
        picture = gathering.picture()
        if picture.state == Liveness.STOPPED.value:
            _insist_on_running(settings)
        return render_rounds(picture, width, height)

    with opened_gathering(settings) as gathering:
        show_until_quit(draw, LOOK_EVERY_S)


def _insist_on_running(settings: Settings) -> None:
    """Raises CommandError where nothing is to be seen any more, which looks like a round that takes long."""
    from node.cli.status import insist_on_running, last_status

    insist_on_running(*last_status(settings))
