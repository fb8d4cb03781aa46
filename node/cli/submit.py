"""`deltamesh submit`: hand data to the network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import HomeOption, JsonOption, NetworkOption, existing_directory, settings_of
from node.cli.output import counted, note, now_ms, print_json, progress, say, short_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.datadir import DataDir

STANDARD_INPUT: Final = "-"
STANDARD_INPUT_BYTES_MAX: Final = 256 << 20
SOURCE: Final = "submit"
TEXT: Final = "text"


def submit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|DIR|-", help="Data, or - for text from standard input.", show_default=False
        ),
    ],
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Queue data to be embedded by the network. Submitted items become public in its reports.

    What is read depends on what the network embeds. Text: .txt, .md, .rst, .jsonl (a field `text`) and
    .parquet (a column `text`), folders of them, or standard input. A long text is cut into items of at most
    80 words and 8,192 bytes: at paragraphs, then sentences, then words, neighbouring pieces being joined
    until an item has 48 words. Images: .png, .jpg. Audio: .wav, .flac. Series: .csv, .parquet, .npy. Bytes:
    any file. The items wait in this validator's queue, also while the node is stopped, and ride along when it
    deals next.
    """
    directory = existing_directory(settings_of(home, network))
    modality = _modality_of_validator(directory)
    items = submitted_items(source) if modality == TEXT else _dense_items(source, modality)
    note(f"{counted(len(items), 'item')}: submitted items become public in the reports of their rounds.")
    ids, new = _queue(directory, items, modality)
    if json_:
        print_json([name.hex() for name in ids])
    else:
        say(
            f"Queued {counted(new, 'new item')}"
            + (f", {len(ids) - new:,} known before" if new < len(ids) else "")
        )
        for name in ids[:3]:
            say(f"  {name.hex()}")
        if len(ids) > 3:
            say(f"  and {len(ids) - 3:,} more; --json prints all ids")
    note(_when_dealt(directory))


def submitted_items(source: str) -> list[bytes]:
    """The distinct canonical items of a file, folder or standard input. Raises CorpusError, CommandError."""
    from node.corpus import chunk_text, load_corpus
    from protocol.items import ItemError, canonical_text

    texts = (
        chunk_text(_standard_input()) if source == STANDARD_INPUT else load_corpus(Path(source).expanduser())
    )
    found: dict[bytes, None] = {}
    for text in texts:
        try:
            found[canonical_text(text)] = None
        except ItemError:
            # Nothing but control characters: no word of it is lost.
            continue
    if not found:
        raise CommandError(
            f"{'standard input' if source == STANDARD_INPUT else source} holds no text: submit at "
            "least one word",
            ExitCode.BAD_INPUT,
        )
    return list(found)


def _dense_items(source: str, modality: str) -> list[bytes]:
    """The distinct canonical items of a file or folder of another modality. Raises CorpusError."""
    from node.cli.reading import read_items
    from node.modalities import load_items

    if source == STANDARD_INPUT:
        raise CommandError(
            f"the network embeds {modality}, and standard input is read as text: give a file or folder",
            ExitCode.BAD_INPUT,
        )
    return read_items(load_items, modality, Path(source).expanduser())


def _standard_input() -> str:
    data = sys.stdin.buffer.read(STANDARD_INPUT_BYTES_MAX + 1)
    if len(data) > STANDARD_INPUT_BYTES_MAX:
        raise CommandError(
            f"standard input holds over {STANDARD_INPUT_BYTES_MAX >> 20} MiB: submit it in parts",
            ExitCode.BAD_INPUT,
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(
            f"standard input is not UTF-8 (byte {error.start}): convert it first, for example with iconv",
            ExitCode.BAD_INPUT,
        ) from None


def _modality_of_validator(directory: DataDir) -> str:
    """What its network embeds. Raises CommandError where the node is no validator."""
    from config.genesis import load_genesis
    from node.keys import load_key
    from node.membership import is_prepared_validator, pool_path
    from node.pool import Pool

    key = load_key(directory.key)
    modality = TEXT
    if directory.genesis.exists():
        genesis = load_genesis(directory.genesis)
        # One that joined later is in no genesis; it is prepared as a validator all the same.
        known = key.public_key in genesis.validators or is_prepared_validator(directory)
        modality = genesis.modality.name
        place = "a validator of its network"
    else:
        known, place = is_prepared_validator(directory), "prepared as a validator"
        if pool_path(directory).exists():
            modality = Pool.load(pool_path(directory)).modality.name
    if not known:
        raise CommandError(
            f"{directory.root} ({short_key(key.public_key)}) is not {place}, and only validators "
            "deal items: submit "
            "with the --home and --network of one",
            ExitCode.NODE_STATE,
        )
    return modality


def _queue(directory: DataDir, items: Sequence[bytes], modality: str) -> tuple[list[bytes], int]:
    """Ids of the items in their order, and how many of them are new to the queue. Raises StoreError."""
    from node.store import Put, QueueFull, StoreLimits
    from node.store.database import Access, connect
    from node.store.items import Items
    from protocol.items import item_id

    limits = StoreLimits()
    ids: list[bytes] = []
    new = 0
    # The table alone: opening the whole store to write would sweep blobs a running node is just writing.
    with (
        Items(directory.store, connect(directory.store, Access.READ_WRITE, limits), limits) as queue,
        progress("queueing", len(items)) as bar,
    ):
        for item in items:
            name = item_id(item)
            try:
                put = queue.submit_item(name, item, modality=modality, source=SOURCE, submitted_ms=now_ms())
            except QueueFull as error:
                raise CommandError(
                    f"{len(ids):,} of {len(items):,} items were queued, then the queue was full: {error}",
                    ExitCode.STORAGE,
                ) from None
            new += put is Put.NEW
            ids.append(name)
            bar.step()
    return ids, new


def _when_dealt(directory: DataDir) -> str:
    from node.status import STATUS_FILE_NAME, Liveness, StatusError, liveness, read_status

    try:
        found = read_status(directory.root / STATUS_FILE_NAME)
    except StatusError:
        found = None
    if found is not None and liveness(found, now_ms()) is Liveness.RUNNING:
        return (
            "The running validator takes them at the next slot it deals; follow it with `deltamesh rounds`."
        )
    return "The validator is not running: they wait in the queue until `deltamesh run validator` deals next."
