"""The options commands share, and what they lead to: settings, data directory, genesis, store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from config.datadir import DataDir
    from config.settings import Settings
    from node.store import Store
    from protocol.genesis import Genesis

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="Holds one data directory per network.", show_default=False),
]
NetworkOption = Annotated[
    str | None,
    typer.Option("--network", metavar="NAME", help="Which of them. [default: localnet]", show_default=False),
]
HonestModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="What the honest run, in turn; repeatable. [default: one of each that needs no extra]",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else, to standard output.", show_default=False)
]
ListenOption = Annotated[
    list[str] | None,
    typer.Option("--listen", metavar="ADDR", help="Listen here, such as /ip4/0.0.0.0/tcp/7700. Repeatable."),
]
ApiOption = Annotated[
    str | None,
    typer.Option("--api", metavar="HOST:PORT|off", help="Where the HTTP API listens.", show_default=False),
]
ApiAccessOption = Annotated[
    str | None,
    typer.Option("--api-access", metavar="ACCESS", help="auto, open, read or token.", show_default=False),
]
AnnounceOption = Annotated[
    list[str] | None,
    typer.Option("--announce", metavar="ADDR", help="Where others can dial this node. Repeatable."),
]
BootstrapOption = Annotated[
    list[str] | None,
    typer.Option("--bootstrap", metavar="ADDR", help="A peer to dial first, with its /p2p/ id. Repeatable."),
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="What a validator challenges with. [default: what ships with libraries]",
    ),
]


def is_for_subcommand(ctx: typer.Context) -> bool:
    """Whether a group was asked for one of its subcommands. CommandError for options put before its name.

    They would be lost, and another node's rounds be shown.
    """
    if ctx.invoked_subcommand is None:
        return False
    sources = [ctx.get_parameter_source(name) for name in ctx.params]
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise CommandError(
            f"put the options after `{ctx.info_name} {ctx.invoked_subcommand}`", ExitCode.USAGE
        )
    return True


def settings_of(home: Path | None, network: str | None, **flags: object) -> Settings:
    """Settings by precedence: flags, environment, config.toml, defaults. Raises ConfigError."""
    from config.settings import load_settings

    given = {key: value for key, value in flags.items() if value not in (None, [])}
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return load_settings({"home": home, "network": network, **lists})


def existing_directory(settings: Settings) -> DataDir:
    """The data directory of a command that only looks: it makes none for a mistyped --home."""
    from config.datadir import DataDir

    if not settings.directory.is_dir():
        raise CommandError(
            f"there is no node in {settings.directory}: set one up with `deltamesh init`, or name another "
            "--home or --network",
            ExitCode.NODE_STATE,
        )
    return DataDir.open(settings.home, settings.network)


def place_of(directory: DataDir) -> str:
    """The flags that name a data directory, for the next command a message gives."""
    return f"--home {directory.root.parent} --network {directory.root.name}"


def role_prepared(directory: DataDir) -> str:
    """The role a data directory was prepared for: what `deltamesh run` is told."""
    from node.membership import is_prepared_validator

    return "validator" if is_prepared_validator(directory) else "encoder"


def insist_on_genesis(directory: DataDir) -> None:
    """Raises CommandError for a node that has not joined a network."""
    if not directory.genesis.exists():
        raise CommandError(
            f"{directory.root} has not joined a network yet: join one with "
            f"`deltamesh init --genesis FILE {place_of(directory)}`",
            ExitCode.NODE_STATE,
        )


def genesis_of(directory: DataDir) -> Genesis:
    """The genesis of the directory's network. Raises CommandError when it has not joined one."""
    from config.genesis import load_genesis

    insist_on_genesis(directory)
    return load_genesis(directory.genesis)


@contextmanager
def reading_store(directory: DataDir) -> Iterator[Store | None]:
    """The node's store, to read beside a running node; None when it has never run. Raises StoreError."""
    from node.store import Access, Store

    if not directory.store.exists():
        yield None
        return
    with Store.open(directory.store, directory.blobs, access=Access.READ_ONLY) as store:
        yield store


def checked_key(text: str) -> str:
    """A key or the beginning of one, as hexadecimal digits in small letters. Raises CommandError."""
    lowered = text.lower().removeprefix("0x")
    if not 1 <= len(lowered) <= 64 or not set(lowered) <= set("0123456789abcdef"):
        raise CommandError(
            f"'{text[:80]}' is no key: give its hexadecimal digits, all 64 or the first few", ExitCode.USAGE
        )
    return lowered
