"""Which network a user trusts, as commands that verify are told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import genesis_of
from node.cli.output import note

if TYPE_CHECKING:
    from config.settings import Settings
    from protocol.genesis import Genesis

NetworkIdOption = Annotated[
    str | None, typer.Option("--network-id", metavar="HEX", help="The network you trust, 64 digits.")
]
GenesisOption = Annotated[Path | None, typer.Option("--genesis", metavar="FILE", help="Or its genesis file.")]


def trusted_network(
    network_id: str | None, genesis: Path | None, settings: Settings
) -> tuple[bytes | None, Genesis | None]:
    """The id or genesis given; without either, that of this node's own network. Raises CommandError."""
    from config.genesis import load_genesis

    if network_id is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", network_id):
        raise CommandError(
            f"'{network_id[:80]}' is no network id: it has 64 hexadecimal digits, as `deltamesh "
            "genesis show` prints",
            ExitCode.USAGE,
        )
    if network_id is not None or genesis is not None:
        return (
            bytes.fromhex(network_id) if network_id is not None else None,
            load_genesis(genesis) if genesis is not None else None,
        )
    from config.datadir import DataDir

    own = DataDir(settings.directory.expanduser().absolute())
    if not own.genesis.exists():
        raise CommandError(
            "say which network you trust: --network-id HEX or --genesis FILE, from a source other "
            "than what is verified",
            ExitCode.USAGE,
        )
    trusted = genesis_of(own)
    note(f"Trusting the network of {own.root}: {trusted.network_id.hex()}.")
    return None, trusted
