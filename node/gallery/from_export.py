"""Filling a gallery from exported embeddings: their word is all there is for what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from node.gallery.entries import Added, Entry, Origin, preview_of_text, source_name
from node.gallery.errors import ExportError
from node.gallery.export_jsonl import open_jsonl
from node.gallery.export_parquet import open_parquet
from node.gallery.export_rows import ExportedRow, ExportFile
from node.gallery.from_bundle import file_digest
from node.gallery.limits import BATCH_ROWS
from node.gallery.spaces_table import Gallery

OPENERS: dict[str, Callable[[Path], ExportFile]] = {".parquet": open_parquet, ".jsonl": open_jsonl}

OnRows = Callable[[int, int | None], None]
"""Told (rows done, all; None where the file does not say)."""


def add_export(
    gallery: Gallery,
    collection: str,
    path: Path,
    network_id: bytes | None = None,
    *,
    source: str | None = None,
    on_rows: OnRows | None = None,
) -> Added:
    """Add the rows of a file of `deltamesh embeddings export` to a collection.

    They count as brought by `source`, or by the file. With a `network_id`, the file has to be of it.
    Interrupted, the next call goes on where this one stopped. Raises ExportError, GalleryError,
    GalleryStorageError.
    """
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        raise ExportError(
            f"{path} is no file a gallery is filled from: use .dmr, {', '.join(OPENERS)}; the exporter "
            "writes "
            f"either with `deltamesh embeddings export --to {path.stem}.parquet`"
        )
    if not path.is_file():
        raise ExportError(f"there is no file {path}: check the path")
    name = f"export:{file_digest(path)}"
    taken = gallery.taken(collection, name)
    if taken.whole:
        return Added(known=taken.rows)
    with opener(path) as file:
        network = file.network_id or network_id or gallery.facts().network_id
        if network is None:
            raise ExportError(f"{path} does not say of which network it is: say so with --network-id")
        if network_id is not None and network != network_id:
            raise ExportError(
                f"{path} says that it is of network {network.hex()[:16]}, not of {network_id.hex()[:16]}: "
                "take another file"
            )
        gallery.bind(network, file.modality)
        brought_by = source_name(source if source is not None else f"file:{path.name}")
        added, done = Added(), taken.rows
        complete = True
        for part in file.parts(done, BATCH_ROWS):
            done += len(part)
            found = gallery.add(
                collection,
                [_entry(row, file, brought_by) for row in part],
                name if complete else "",
                done,
            )
            complete = complete and not found.left_out
            added.add(found)
            if on_rows is not None:
                on_rows(done, file.rows)
        if complete:
            gallery.take_whole(collection, name, done)
    return added


def _entry(row: ExportedRow, file: ExportFile, source: str) -> Entry:
    return Entry(
        item_id=row.item_id,
        origin=Origin.EXPORT,
        source=source,
        round=row.round,
        shard=row.shard,
        epoch=row.space_epoch if file.space is None else None,
        space=file.space,
        preview=f"{file.modality}, not in the export" if row.text is None else preview_of_text(row.text),
        vector=row.vector,
    )
