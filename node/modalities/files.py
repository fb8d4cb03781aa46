"""A file of any modality but text as items: which reader it takes, which kinds of files that knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.modalities import audio_file, image_file, raw_file, series_file
from node.modalities.file_door import FileKind, insist_on_count


@dataclass(frozen=True, slots=True)
class Reader:
    """How files of a modality are read."""

    items: Callable[[Path, int | None], list[bytes]]
    """The items of a file, in order, where they are no more than that. Raises FileError."""
    kinds: frozenset[FileKind]
    size_bytes_max: int


READERS: Final[dict[str, Reader]] = {
    "audio": Reader(audio_file.audio_items, frozenset(audio_file.KINDS), audio_file.FILE_BYTES_MAX),
    "bytes": Reader(raw_file.raw_items, frozenset(FileKind), raw_file.FILE_BYTES_MAX),
    "image": Reader(image_file.image_items, frozenset(image_file.KINDS), image_file.FILE_BYTES_MAX),
    "series": Reader(series_file.series_items, series_file.KINDS, series_file.FILE_BYTES_MAX),
}


def reader_of(modality: str) -> Reader:
    """How files of a modality are read. Raises ValueError for text, which `node.corpus` reads, and others."""
    reader = READERS.get(modality)
    if reader is None:
        raise ValueError(
            f"files of {modality!r} are not read here, but those of {', '.join(sorted(READERS))}"
        )
    return reader


def items_of_file(modality: str, path: Path, items_max: int | None = None) -> list[bytes]:
    """The canonical items of one file of a modality other than text, in order.

    What a file is, is told by its content; its name is not looked at. Raises FileError, which says what is
    wrong with the file and what to do; TooManyItems where it makes more than `items_max`, told by its length
    as soon as that is known: what is made of two hours of sound takes a minute.
    """
    items = reader_of(modality).items(path, items_max)
    insist_on_count(path, len(items), items_max)
    return items
