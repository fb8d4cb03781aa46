"""`deltamesh token`: who may use the node's HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.cli.options import HomeOption, JsonOption, NetworkOption, existing_directory, settings_of
from node.cli.output import counted, note, print_json, print_table, say

app = typer.Typer(help="Access tokens of the node's HTTP API.", no_args_is_help=True)

_NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, or what for.")]


@app.command("new")
def new(
    name: _NameArgument, home: HomeOption = None, network: NetworkOption = None, json_: JsonOption = False
) -> None:
    """Make a token and print it: it cannot be shown again. A running node knows it a second later."""
    from node.api.guard.tokens import new_token

    token = new_token(_file(home, network), name)
    if json_:
        print_json({"name": name, "token": token})
        return
    note("Keep it: it cannot be shown again. Send it as `Authorization: Bearer TOKEN`.")
    say(token)


@app.command("list")
def list_(home: HomeOption = None, network: NetworkOption = None, json_: JsonOption = False) -> None:
    """Name the tokens there are."""
    from node.api.guard.tokens import read_tokens

    names = sorted(read_tokens(_file(home, network)))
    if json_:
        print_json({"tokens": names})
    elif names:
        print_table(counted(len(names), "token"), ["name"], [[name] for name in names])
    else:
        note("There is no token: make one with `deltamesh token new NAME`.")


@app.command("revoke")
def revoke(name: _NameArgument, home: HomeOption = None, network: NetworkOption = None) -> None:
    """Forget a token; a running node refuses it a second later."""
    from node.api.guard.tokens import revoke_token

    revoke_token(_file(home, network), name)
    note(f"The token '{name}' is revoked.")


def _file(home: Path | None, network: str | None) -> Path:
    from node.api.guard.tokens import FILE_NAME

    return existing_directory(settings_of(home, network)).root / FILE_NAME
