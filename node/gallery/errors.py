"""What can go wrong with a gallery: each error is one sentence with what happened, why, and the next step."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class GalleryError(Exception):
    """The gallery cannot do what was asked: the request, or a file it was given, is wrong."""


class NothingSelectedError(GalleryError):
    """No item of the gallery is selected: nothing could be an answer."""


class ProbeError(GalleryError):
    """There is nothing to search by: no such item, or a text that cannot be embedded here."""


class MixedSpacesError(GalleryError):
    """Vectors that lie in different spaces cannot be compared."""


class ExportError(GalleryError):
    """A file is no export of embeddings, or a damaged one."""


class GalleryStorageError(Exception):
    """The file of the gallery: full, read-only, damaged, in use, or of other software."""


class DamagedGalleryError(GalleryStorageError):
    """The file of the gallery does not hold what was written to it."""


_READ_ONLY = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as GalleryStorageError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _from_sqlite(error, path) from error
    except UnicodeDecodeError as error:
        # Text of a damaged page, or what SQLite quotes of one.
        raise DamagedGalleryError(_damaged(path, error)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason += "; free some space, then run it again: it goes on where it stopped"
        else:
            reason += "; check the path and its permissions"
        raise GalleryStorageError(f"cannot use the gallery {path}: {reason}") from error


def _from_sqlite(error: sqlite3.Error, path: Path) -> GalleryStorageError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return GalleryStorageError(
            f"cannot write to the gallery {path}: the disk or the bound on a gallery is full; free some "
            "space, "
            "or remove some of it with `deltamesh gallery remove`"
        )
    if primary in _READ_ONLY:
        return GalleryStorageError(
            f"cannot write to the gallery {path}: it is read-only; make the file and its folder writable"
        )
    if primary in _BUSY:
        return GalleryStorageError(
            f"cannot use the gallery {path}: another process is writing to it; try again when it is done"
        )
    if primary == sqlite3.SQLITE_CANTOPEN:
        return GalleryStorageError(
            f"cannot open the gallery {path}: the file or its folder is missing; check --gallery"
        )
    # Tables that are missing or of another shape are damage too: their version was checked.
    return DamagedGalleryError(_damaged(path, error))


def _damaged(path: Path, error: Exception) -> str:
    return f"the gallery {path} is damaged or no gallery ({error}): move it away and add its items again"
