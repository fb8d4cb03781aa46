"""What can go wrong in the store: each error is one sentence with what happened, why, and the next step."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(Exception):
    """The store could not do what was asked; nothing was half-written."""


class StoreFull(StoreError):  # noqa: N818 (says what it is)
    """No room: the disk, its quota, or the store's own bound on bytes."""


class BlobStoreFull(StoreFull):
    """The blobs on disk have reached their bound on bytes."""


class QueueFull(StoreError):  # noqa: N818 (says what it is)
    """As many items, or bytes of items, are pending as the queue may hold."""


class StoreReadOnly(StoreError):  # noqa: N818 (says what it is)
    """The database, its folder or its disk does not accept writes."""


class StoreBusy(StoreError):  # noqa: N818 (says what it is)
    """Another process has been writing to this database for longer than we wait."""


class StoreCorrupted(StoreError):  # noqa: N818 (says what it is)
    """The file is not a database of ours, or its pages contradict each other."""


class StoreTooNew(StoreError):  # noqa: N818 (says what it is)
    """The database was written by a later version of the software."""


_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_READ_ONLY_ERRNOS = (errno.EROFS, errno.EACCES, errno.EPERM)


def from_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """Translate an error of SQLite into one of ours, by its primary result code."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return StoreFull(
            f"cannot write to {path}: the disk or the bound on the database is full ({error}); "
            "free some space or prune old rounds, then start again"
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return StoreReadOnly(
            f"cannot write to {path}: it is read-only ({error}); "
            "make the file and its folder writable for this user, then start again"
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreCorrupted(
            f"cannot read {path}: it is damaged or not a database ({error}); "
            "move it away and start again: certified rounds are fetched anew from peers"
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreBusy(
            f"cannot use {path}: another process holds it ({error}); stop the other process, then try again"
        )
    if primary == sqlite3.SQLITE_CANTOPEN:
        return StoreError(
            f"cannot open {path}: the file or its folder is missing or not accessible ({error}); "
            "check the path and its permissions"
        )
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return StoreError(
            f"cannot record in {path}: the row contradicts what is stored ({error}); "
            "record the round before its scores and embeddings, each key once"
        )
    return StoreError(f"cannot use {path}: {error}; check the disk, then start again")


def from_os(error: OSError, path: Path) -> StoreError:
    """Translate an error of the file system into one of ours."""
    reason = error.strerror or str(error)
    if error.errno in _FULL_ERRNOS:
        return StoreFull(f"cannot write {path}: {reason}; free some space, then start again")
    if error.errno in _READ_ONLY_ERRNOS:
        return StoreReadOnly(
            f"cannot use {path}: {reason}; make the folder writable for this user, then start again"
        )
    return StoreError(f"cannot use {path}: {reason}; check the disk and the path, then start again")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error
    except OSError as error:
        raise from_os(error, path) from error
