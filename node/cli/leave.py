"""`deltamesh leave`: an encoder takes its leave of a network, or stays after all."""

from __future__ import annotations

from typing import Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, NetworkOption, existing_directory, genesis_of, settings_of
from node.cli.output import note, say


def leave(
    undo: Annotated[
        bool, typer.Option("--undo", help="Stay, or register again.", show_default=False)
    ] = False,
    home: HomeOption = None,
    network: NetworkOption = None,
) -> None:
    """Have this encoder leave its network with the next epoch's record.

    The running encoder sees the wish, signs an exit and hands it to validators; one that does not run does so
    when it is started again. Its reputation is gone with it.
    """
    from node.keys import load_key
    from node.membership import is_prepared_validator
    from node.roles.registering import is_leaving, set_leaving

    directory = existing_directory(settings_of(home, network))
    known = load_key(directory.key).public_key in genesis_of(directory).validators
    if known or is_prepared_validator(directory):
        raise CommandError(
            "this node is a validator: it hands its stake on with `deltamesh stake transfer`, all but the "
            "least, and stops with its process",
            ExitCode.NODE_STATE,
        )
    if undo == is_leaving(directory):
        set_leaving(directory, wished=not undo)
    say("stays" if undo else "leaves")
    note(
        "The encoder registers again as soon as it is no member."
        if undo
        else "Keep the encoder running until its log says epoch.left; `deltamesh leave --undo` takes it back."
    )
