"""`deltamesh keys`: the node's identity."""

from __future__ import annotations

import typer

from node.cli import keys_backup, keys_rotate
from node.cli.options import HomeOption, JsonOption, NetworkOption, existing_directory, settings_of
from node.cli.output import note, print_facts, print_json

app = typer.Typer(help="The node's key, which is its identity and its signature.", no_args_is_help=True)


@app.command("new")
def new(home: HomeOption = None, network: NetworkOption = None, json_: JsonOption = False) -> None:
    """Create the key of a node. A key that is there is never overwritten."""
    from config.datadir import DataDir
    from node.keys import create_key

    settings = settings_of(home, network)
    directory = DataDir.open(settings.home, settings.network)
    with directory.lock():
        key = create_key(directory.key)
    if not json_:
        note(f"The key is in {directory.key}: back it up (`deltamesh keys backup`), and show it to nobody.")
    _print_key(key.public_key, key.peer_id, str(directory.key), json_)


@app.command("show")
def show(home: HomeOption = None, network: NetworkOption = None, json_: JsonOption = False) -> None:
    """Print the public key and the peer id, never the secret."""
    from node.keys import load_key

    directory = existing_directory(settings_of(home, network))
    key = load_key(directory.key)
    _print_key(key.public_key, key.peer_id, str(directory.key), json_)


app.command("backup")(keys_backup.backup)
app.command("restore")(keys_backup.restore)
app.command("rotate")(keys_rotate.rotate)


def _print_key(public_key: bytes, peer_id: str, path: str, json_: bool) -> None:
    if json_:
        print_json({"public_key": public_key, "peer_id": peer_id, "path": path})
    else:
        print_facts({"public key": public_key.hex(), "peer id": peer_id, "file": path})
