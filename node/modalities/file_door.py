"""The door files come in by: regular, of bounded size, recognised by what they hold, not by their names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Final

from node.corpus import CorpusError

HEAD_BYTES: Final = 4096
"""Enough of a file to tell its kind."""


_REASON_CHARACTERS_MAX: Final = 200


class FileError(CorpusError):
    """A file cannot become items; the message says what it is, why not, and what to do."""


class TooManyItems(FileError):  # noqa: N818 (says what it is)
    """A file makes more items than are asked for: `count`, before silence and gaps are left out."""

    def __init__(self, path: Path, count: int, items_max: int) -> None:
        super().__init__(
            f"{path} makes {count:,} items, {items_max:,} at most are asked for: cut it into smaller files."
        )
        self.count = count


class FileKind(StrEnum):
    """What a file is by its first bytes; the value is its name in sentences."""

    PNG = "a PNG image"
    JPEG = "a JPEG image"
    GIF = "a GIF image"
    WEBP = "a WebP image"
    WAV = "a WAV sound"
    FLAC = "a FLAC sound"
    NPY = "a NumPy array"
    PARQUET = "a Parquet table"
    ZIP = "a ZIP archive"
    TEXT = "text"
    """UTF-8 without control characters other than white space."""
    OTHER = "of a kind unknown here"


@contextmanager
def open_file(path: Path, size_bytes_max: int) -> Iterator[tuple[BinaryIO, int]]:
    """A file opened for reading, and its size in bytes: a regular file, neither empty nor above the limit.

    It is looked at before it is opened: some devices act on being opened, and a pipe would wait for ever.
    Raises FileError, also for what the operating system refuses while the file is read.
    """
    try:
        _insist_on_regular(path, path.stat().st_mode)
        # Between the two calls the name may come to mean something else: never wait for it, and look again.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _insist_on_regular(path, found.st_mode)
            if found.st_size == 0:
                raise FileError(f"{path} is empty: leave it out, or write it again.")
            if found.st_size > size_bytes_max:
                raise FileError(
                    f"{path} has {found.st_size:,} bytes, {size_bytes_max:,} are read at most: cut it into "
                    "smaller files."
                )
            yield file, found.st_size
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror or error}): check the path.") from error
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise FileError(f"{str(path)!r} is no path: it has a null character.") from error


def insist_on_count(path: Path, count: int, items_max: int | None) -> None:
    """Raise TooManyItems where a file makes more than `items_max` items; None is no bound."""
    if items_max is not None and count > items_max:
        raise TooManyItems(path, count, items_max)


def reason_of(error: BaseException) -> str:
    """What a library says of a file, as a part of a sentence: one line, bounded, without its full stop."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_REASON_CHARACTERS_MAX].rstrip(". ")


def kind_of(head: bytes) -> FileKind:
    """What a file is, by its first HEAD_BYTES."""
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if head.startswith(b"RIFF"):
        return _RIFF_KINDS.get(head[8:12], FileKind.OTHER)
    return FileKind.TEXT if _is_text(head) else FileKind.OTHER


def read_head(file: BinaryIO) -> bytes:
    """The first bytes of a file, for `kind_of`; the next read begins at the start again."""
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


_MAGICS: Final = (
    (b"\x89PNG\r\n\x1a\n", FileKind.PNG),
    (b"\xff\xd8\xff", FileKind.JPEG),
    (b"GIF87a", FileKind.GIF),
    (b"GIF89a", FileKind.GIF),
    (b"fLaC", FileKind.FLAC),
    (b"\x93NUMPY", FileKind.NPY),
    (b"PAR1", FileKind.PARQUET),
    (b"PK\x03\x04", FileKind.ZIP),
    (b"PK\x05\x06", FileKind.ZIP),
)
_RIFF_KINDS: Final = {b"WAVE": FileKind.WAV, b"WEBP": FileKind.WEBP}
_TEXT_CONTROLS: Final = frozenset(b"\t\n\r\f")


def _is_text(head: bytes) -> bool:
    if any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character may be cut by the end of the head.
        return error.start >= HEAD_BYTES - 3
    return True


def _insist_on_regular(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    for test, name in _OTHERS:
        if test(mode):
            raise FileError(f"{path} is {name}, not a file: point to a file.")
    raise FileError(f"{path} is no regular file: point to one.")


_OTHERS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
