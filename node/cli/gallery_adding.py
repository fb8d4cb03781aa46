"""What `deltamesh gallery add` does with its files, or with the node's own store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import CommandError, ExitCode
from node.cli.gallery_opening import OpenedGallery
from node.cli.output import Progress, counted, note, progress

if TYPE_CHECKING:
    from node.gallery import Added


@dataclass(frozen=True, slots=True)
class Adding:
    """What to add, and where to."""

    collection: str
    files: tuple[Path, ...]
    from_round: int
    to_round: int | None
    network_id: bytes | None
    source: str | None


def add_all(opened: OpenedGallery, asked: Adding, *, quiet: bool) -> Added:
    """Add what was asked, with a bar for each long part. Raises what `node.gallery` raises, CommandError."""
    from node.gallery import Added

    if not asked.files:
        return _own(opened, asked)
    added = Added()
    for path in asked.files:
        if path.suffix.lower() == ".dmr":
            added.add(_report(opened, asked, path, quiet=quiet))
        else:
            added.add(_export(opened, asked, path))
    return added


def _own(opened: OpenedGallery, asked: Adding) -> Added:
    from node.gallery.from_store import add_from_store

    node = opened.node
    if node is None or node.store is None:
        raise CommandError(
            "there is no validator's store here, or it is of another network than the gallery: name files "
            "to add, "
            "or the --home of a validator",
            ExitCode.NODE_STATE,
        )
    if asked.network_id is not None and asked.network_id != node.genesis.network_id:
        raise CommandError(
            f"this node is of network {node.genesis.network_id.hex()[:16]}, not of the one you trust",
            ExitCode.BAD_INPUT,
        )
    rounds = node.store.embedding_rounds(asked.from_round, asked.to_round)
    if not rounds:
        raise CommandError(
            "this node holds no embeddings of those rounds: they come with certified ones, see `deltamesh "
            "rounds`",
            ExitCode.NODE_STATE,
        )
    with progress("adding", sum(count for _, count in rounds)) as bar:
        return add_from_store(
            opened.gallery,
            asked.collection,
            node.store,
            node.genesis,
            from_round=asked.from_round,
            to_round=asked.to_round,
            on_rows=bar.step,
        )


def _report(opened: OpenedGallery, asked: Adding, path: Path, *, quiet: bool) -> Added:
    from node.gallery.from_bundle import add_bundle

    if not path.is_file():
        raise CommandError(f"there is no file {path}: check the path", ExitCode.BAD_INPUT)
    genesis = opened.node.genesis if opened.node is not None and asked.network_id is None else None
    if asked.network_id is None and genesis is None:
        raise CommandError(
            f"say which network you trust to verify {path}: --network-id HEX, from a source other than the "
            "report",
            ExitCode.USAGE,
        )
    if not quiet:
        note(f"Verifying {path} ...")
    return add_bundle(opened.gallery, asked.collection, path, asked.network_id, genesis)


def _export(opened: OpenedGallery, asked: Adding, path: Path) -> Added:
    from node.gallery.from_export import add_export

    reached = 0

    def on_rows(done: int, _: int | None) -> None:
        nonlocal reached
        bar.step(done - reached)
        reached = done

    bar: Progress
    with progress(f"adding {path.name}", _rows(path)) as bar:
        added = add_export(
            opened.gallery, asked.collection, path, asked.network_id, source=asked.source, on_rows=on_rows
        )
    taken = added.new + added.known + added.joined + added.replaced
    note(f"{path}: {counted(taken, 'row')} taken at its word.")
    return added


def _rows(path: Path) -> int:
    """About how many rows a file has: for the bar alone."""
    try:
        return path.stat().st_size // 4_500
    except OSError:
        return 0
