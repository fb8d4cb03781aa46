"""`deltamesh embed`: ask the network for embeddings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption, settings_of
from node.cli.output import counted, note, print_json, print_table
from node.cli.sources import TokenOption, UrlOption, asked_url, asking
from node.cli.told_bar import told_bar
from node.cli.trusting import GenesisOption, NetworkIdOption, trusted_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.client import Embeddings

STANDARD_INPUT: Final = "-"
INPUT_BYTES_MAX: Final = 256 << 20
SUFFIX: Final = ".npz"
TEXT: Final = "text"
PATH: Final = "path"
"""What an item was given as: so it is called in what is printed and written."""
_SHOWN_NUMBERS: Final = 4
_SHOWN_CHARACTERS: Final = 32


def embed(
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT|FILE]...", help="Texts; files with --files.", show_default=False),
    ] = None,
    files: Annotated[
        bool,
        typer.Option("--files", help="The arguments are files, such as images: an item each."),
    ] = False,
    file: Annotated[
        str | None,
        typer.Option(
            "--file", "-f", metavar="FILE|-", help="Or one file with a text a line.", show_default=False
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE.npz", help="Write the vectors here.", show_default=False),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that each vector is the certified one of its item.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait for certificates.", min=1)
    ] = 600.0,
    network_id: NetworkIdOption = None,
    genesis: GenesisOption = None,
    home: HomeOption = None,
    network: NetworkOption = None,
    url: UrlOption = None,
    token: TokenOption = None,
    json_: JsonOption = False,
) -> None:
    """Embed texts or files by the network, and wait for the certificate. They become public in its reports.

    What the network embeds decides: text as it is given, or with --files what a network of images takes
    (.png, .jpg), of audio (.wav, .flac), series (.csv, .parquet, .npy) or bytes (any file).

    Asks the validator at --url, else the one that runs here. With --verify it need not be trusted, only the
    network id or genesis given; without either, that of this node's own network. Exit code 5 when a vector is
    refused. What the network knows already is served at once.
    """
    if to is not None and to.suffix != SUFFIX:
        raise CommandError(f"{to.name} should end in {SUFFIX}: name it {to.stem}{SUFFIX}", ExitCode.USAGE)
    if to is not None and to.exists():
        raise CommandError(f"{to} exists already: name another file", ExitCode.BAD_INPUT)
    if files and file is not None:
        raise CommandError("-f names a file of texts: with --files, name files alone", ExitCode.USAGE)
    asked = [*(texts or ()), *(_lines(file) if file is not None else ())]
    if not asked:
        raise CommandError("there is nothing to embed: give a TEXT, -f FILE or --files", ExitCode.USAGE)
    settings = settings_of(home, network, url=url, token=token)
    trust = trusted_network(network_id, genesis, settings) if verify else (None, None)
    what = PATH if files else TEXT
    how_many = counted(len(asked), "file" if files else "text")
    note(f"{how_many}: what is embedded becomes public in the reports of its round.")
    with asking(asked_url(settings), settings.token, *trust) as client, told_bar("embedding") as told:
        if files:
            paths = [Path(one) for one in asked]
            found = client.embed_files(paths, verify=verify, timeout_s=timeout, on_embedded=told)
        else:
            found = client.embed(asked, verify=verify, timeout_s=timeout, on_embedded=told)
    if to is not None:
        _write(to, what, asked, found)
        note(f"Wrote {counted(len(asked), 'vector')} in the space {found.space} to {to}.")
    if json_:
        print_json(_document(what, asked, found, with_vectors=to is None))
    elif to is None:
        _print(what, asked, found)


def _lines(file: str) -> list[str]:
    try:
        if file == STANDARD_INPUT:
            data = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        else:
            with Path(file).expanduser().open("rb") as opened:
                data = opened.read(INPUT_BYTES_MAX + 1)
    except OSError as error:
        raise CommandError(
            f"{file} cannot be read ({error.strerror or error}): check the path", ExitCode.BAD_INPUT
        ) from None
    if len(data) > INPUT_BYTES_MAX:
        raise CommandError(
            f"{file} is over {INPUT_BYTES_MAX >> 20} MiB: embed it in parts", ExitCode.BAD_INPUT
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{file} is not UTF-8 (byte {error.start}): convert it first, for example with iconv",
            ExitCode.BAD_INPUT,
        ) from None
    return [line.strip() for line in text.split("\n") if line.strip()]


def _document(what: str, asked: Sequence[str], found: Embeddings, with_vectors: bool) -> dict[str, object]:
    rows = []
    for one, item, vector in zip(asked, found.items, found.vectors, strict=True):
        row: dict[str, object] = {
            what: one,
            "item_id": item.item_id,
            "round": item.round,
            "shard": item.shard,
            "certificate": item.certificate,
            "served": item.served,
        }
        rows.append(row | {"vector": vector.tolist()} if with_vectors else row)
    return {
        "network_id": found.network_id,
        "space": found.space,
        "epoch": found.epoch,
        "verified": bool(found.verified),
        "embeddings": rows,
    }


def _print(what: str, asked: Sequence[str], found: Embeddings) -> None:
    rows = []
    for one, item, vector in zip(asked, found.items, found.vectors, strict=True):
        shown = one if len(one) <= _SHOWN_CHARACTERS else one[: _SHOWN_CHARACTERS - 3] + "..."
        numbers = " ".join(f"{value:.3f}" for value in vector[:_SHOWN_NUMBERS])
        rows.append([shown, item.item_id[:16], f"{item.round}", item.certificate[:16], f"{numbers} ..."])
    proven = "verified" if found.verified else "not verified"
    columns = [what, "item", "round", "certificate", "vector"]
    print_table(f"Embeddings, {found.space}, {proven}", columns, rows, right=frozenset({"round"}))


def _write(to: Path, what: str, asked: Sequence[str], found: Embeddings) -> None:
    import json

    import numpy as np

    facts = {
        "network_id": found.network_id,
        "space": found.space,
        "epoch": found.epoch,
        "verified": bool(found.verified),
    }
    given: dict[str, Any] = {what: np.array(list(asked))}
    try:
        with to.open("xb") as file:
            np.savez(
                file,
                vectors=found.vectors,
                item_id=np.array([item.item_id for item in found.items]),
                round=np.array([item.round for item in found.items], np.int64),
                certificate=np.array([item.certificate for item in found.items]),
                metadata=np.array(json.dumps(facts)),
                **given,
            )
    except OSError as error:
        raise CommandError(f"cannot write {to}: {error.strerror or error}", ExitCode.STORAGE) from None
