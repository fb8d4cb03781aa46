"""`deltamesh top`: one node on a full screen, as it goes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from node.cli.options import HomeOption, JsonOption, NetworkOption, settings_of
from node.cli.output import PIPE_WIDTH, print_json
from node.cli.sources import TokenOption, UrlOption

LOOK_EVERY_S = 1.0
ONCE_LINES = 48


def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print one picture and end.", show_default=False)
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Watch a node: the round in progress, encoders by score and weight, peers, memory and disk; q quits.

    Reads the data directory, or with --url any validator's HTTP API. In a pipe it prints one picture.
    """
    from node.cli.live.opening import opened_gathering

    with opened_gathering(settings_of(home, network, url=url, token=token)) as gathering:
        if json_:
            print_json(gathering.picture().document())
            return
        from rich.console import Console

        from node.cli.live.screen import render

        if once or not sys.stdout.isatty():
            console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
            console.print(render(gathering.picture(), console.width, ONCE_LINES))
            return
        from node.cli.live.terminal import show_until_quit

        show_until_quit(lambda width, height: render(gathering.picture(), width, height), LOOK_EVERY_S)
