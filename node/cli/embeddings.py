"""`deltamesh embeddings`: take the certified consensus embeddings along."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode, os_error_code
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    existing_directory,
    genesis_of,
    reading_store,
    settings_of,
)
from node.cli.output import Progress, counted, note, print_json, progress, say

if TYPE_CHECKING:
    from node.cli.embedding_spool import EmbeddingRow, EmbeddingSpool
    from node.space import Space
    from node.store import EmbeddingRecord, Store
    from protocol.genesis import Genesis

app = typer.Typer(help="The certified consensus embeddings.", no_args_is_help=True)


@app.command("export")
def export(
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="FILE", help="A .parquet, .safetensors, .npz or .jsonl file.", show_default=False
        ),
    ],
    from_round: Annotated[
        int, typer.Option("--from-round", metavar="N", help="Leave out rounds before.", min=0)
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file.", show_default=False)
    ] = False,
    space: Annotated[
        str,
        typer.Option(
            "--space",
            metavar="SPACE",
            help="newest: shaped by the newest epoch's transform; N: by that of epoch N; raw: as certified.",
        ),
    ] = "newest",
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Write every certified embedding: item id, text, round, vector, space.

    Vectors are 1024 float32. Those of one file lie in one space and can be compared with each other,
    whatever round they are of: shaped, at unit norm, by the transform of epoch `space_epoch`. Certificates
    bind the raw ones; there `space_epoch` is the epoch of the round. The file appears whole or not at all;
    an export that was interrupted goes on where it stopped when it is run again.
    """
    from node.cli.embedding_files import WRITERS, write_embeddings
    from node.cli.embedding_spool import EmbeddingSpool
    from node.space import open_space

    if to.suffix not in WRITERS:
        raise CommandError(
            f"{to} must end in {', '.join(WRITERS)}: the ending chooses the format", ExitCode.USAGE
        )
    if to.exists() and not overwrite:
        raise CommandError(f"{to} exists: name another file, or say --overwrite", ExitCode.BAD_INPUT)
    directory = existing_directory(settings_of(home, network))
    genesis = genesis_of(directory)
    with reading_store(directory) as store:
        if store is None or next(store.embeddings(from_round), None) is None:
            raise CommandError(
                "there are no embeddings to export yet: they come with the first certified round",
                ExitCode.NODE_STATE,
            )
        chosen = open_space(genesis, store, space)
        selection = {
            "network_id": genesis.network_id.hex(),
            "from_round": from_round,
            "space": chosen.name,
        }
        try:
            spool = EmbeddingSpool(to, selection)
            if spool.count:
                note(f"Going on after {counted(spool.count, 'embedding')} an earlier run has read.")
            total = max(store.embedding_count(), spool.count)
            with progress("reading", total) as bar:
                bar.step(spool.count)
                _read(store, genesis, spool, chosen, from_round, bar)
            with progress("writing", spool.count) as bar:
                metadata = {
                    "space": f"deltamesh consensus, {chosen.name}",
                    "network_id": genesis.network_id.hex(),
                    "modality": genesis.parameters.modality,
                }
                write_embeddings(to, spool, metadata, bar.step)
        except OSError as error:
            from config.errors import os_error_sentence

            sentence = os_error_sentence("write", to, error).replace(
                "another --home", "another place for --to"
            )
            raise CommandError(
                f"{sentence}; what was read so far is kept, the same command goes on from there",
                os_error_code(error),
            ) from None
        count = spool.count
        spool.remove()
    if json_:
        size_bytes = to.stat().st_size
        print_json({"file": str(to), "embeddings": count, "bytes": size_bytes, "space": chosen.name})
    else:
        size = f"{to.stat().st_size / 1e6:,.1f} MB"
        say(f"Wrote {counted(count, 'embedding')} in space {chosen.name} to {to} ({size}).")


def _read(
    store: Store, genesis: Genesis, spool: EmbeddingSpool, space: Space, from_round: int, bar: Progress
) -> None:
    records = store.embeddings(max(from_round, spool.next_round))
    for round_, group in groupby(records, key=lambda record: record.round):
        bar.step(spool.append_round(round_, _rows(store, genesis, space, list(group))))


def _rows(
    store: Store, genesis: Genesis, space: Space, records: list[EmbeddingRecord]
) -> Iterator[tuple[EmbeddingRow, bytes]]:
    import numpy as np

    from node.cli.embedding_spool import EmbeddingRow
    from node.report_items import items_of_report
    from protocol.modalities import TEXT

    texts: dict[bytes, bytes] = {}
    for shard in sorted({record.shard for record in records}):
        texts |= items_of_report(store, genesis, store.round(records[0].round, shard))
    raw = np.frombuffer(b"".join(one.vector for one in records), "<f4").reshape(len(records), -1)
    placed = space.place(raw, records[0].space_epoch)
    is_text = genesis.modality is TEXT
    for one, vector in zip(records, placed, strict=True):
        text = texts.get(one.item_id)
        if text is None:
            item = store.item(one.item_id)
            text = item.content if item is not None else None
        yield (
            EmbeddingRow(
                one.item_id.hex(),
                text.decode(errors="replace") if text is not None and is_text else None,
                one.round,
                one.shard,
                one.position,
                one.space_epoch if space.epoch is None else space.epoch,
            ),
            vector.astype("<f4", copy=False).tobytes(),
        )
