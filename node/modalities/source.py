"""A file or folder of one modality as items: what is left out is counted, with the reasons of the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.modalities.file_door import FileError, kind_of, open_file, read_head
from node.modalities.files import Reader, reader_of

ITEMS_BYTES_MAX: Final = 256 << 20
"""Most bytes of items from one source; they are held in memory."""
FILES_MAX: Final = 200_000
REASONS_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class Loading:
    """How far the reading of a source is."""

    files: int
    files_done: int
    items: int
    items_bytes: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The files of a folder that gave no items."""

    other_kinds: int
    """Files that are not of the modality, by their content."""
    refused: int
    """Files that are, or may be, and could not be read."""
    reasons: tuple[str, ...]
    """Of the first refused ones, a sentence each."""

    def __str__(self) -> str:
        """A sentence for the user; empty where nothing was left out."""
        counts = [
            f"{count:,} {'file' if count == 1 else 'files'} {what}"
            for count, what in ((self.other_kinds, "of other kinds"), (self.refused, "that cannot be read"))
            if count
        ]
        if not counts:
            return ""
        return " ".join([f"Left out {' and '.join(counts)}.", *self.reasons])


OnLoading = Callable[[Loading], None]


def items_of_source(
    modality: str, source: Path, *, on_loading: OnLoading | None = None
) -> tuple[list[bytes], LeftOut]:
    """The distinct items of a file, or of the files of a folder in the order of their names.

    A folder is read to any depth; links to folders are not followed. A file that is refused or of another
    kind is left out of a folder. Raises FileError: for a file that stands alone, where nothing is left, and
    beyond ITEMS_BYTES_MAX or FILES_MAX.
    """
    reader = reader_of(modality)
    alone = not os.path.isdir(source)  # unlike Path's, it never raises
    paths = [source] if alone else _paths_of(source)
    items: dict[bytes, None] = {}
    items_bytes = other_kinds = refused = 0
    reasons: list[str] = []
    for done, path in enumerate(paths, start=1):
        found: list[bytes] = []
        try:
            if alone or _is_of(reader, path):
                found = reader.items(path, None)
            else:
                other_kinds += 1
        except FileError as error:
            if alone:
                raise
            refused += 1
            if refused <= REASONS_KEPT:
                reasons.append(str(error))
        for item in found:
            if item not in items:
                items[item] = None
                items_bytes += len(item)
        if items_bytes > ITEMS_BYTES_MAX:
            raise FileError(
                f"{source} holds over {ITEMS_BYTES_MAX >> 20} MiB of items: point to a part of it."
            )
        if on_loading is not None:
            on_loading(Loading(len(paths), done, len(items), items_bytes))
    left_out = LeftOut(other_kinds, refused, tuple(reasons))
    if not items:
        raise FileError(f"{source} holds no {modality} that can be read. {left_out}".rstrip())
    return list(items), left_out


def _is_of(reader: Reader, path: Path) -> bool:
    with open_file(path, reader.size_bytes_max) as (file, _):
        return kind_of(read_head(file)) in reader.kinds


def _paths_of(folder: Path) -> list[Path]:
    paths = []
    for path in _walk(folder):
        paths.append(path)
        if len(paths) > FILES_MAX:
            raise FileError(f"{folder} holds over {FILES_MAX:,} files: point to a part of it.")
    return sorted(paths)


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise FileError(
            f"{error.filename or folder} cannot be listed ({error.strerror}): check its permissions."
        ) from error

    for root, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(root, name) for name in names)
