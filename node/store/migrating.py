"""Taking an older database to the schema of this software: a copy first, then step by step, each whole."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from node.status import process_exists

COPY_SUFFIX: Final = ".bak"
PRIVATE_MODE: Final = 0o600
ROOM_BYTES: Final = 64 << 20
"""Left on the disk beside the copy, for the steps themselves."""
PAGES_AT_A_TIME: Final = 4_096


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    migrations: Sequence[Sequence[str]],
    application_id: int,
    created: Callable[[sqlite3.Connection], None] = lambda _: None,
) -> None:
    """Run the steps that are missing; `created` fills the tables of a database made by the first of them.

    A step is one transaction with its number in `user_version`: what fails leaves the schema before it. What
    an older database was like is kept as `<name>.v<version>.bak` beside it, until the next one is made.
    Raises sqlite3.Error, OSError.
    """
    version = _version(connection)
    if 0 < version < len(migrations):
        _copy(connection, path, version)
    for step in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another opener may have taken the step while we waited for the lock.
            if _version(connection) == step:
                for statement in migrations[step]:
                    connection.execute(statement)
                if step == 0:
                    created(connection)
                connection.execute(f"PRAGMA application_id = {application_id}")
                connection.execute(f"PRAGMA user_version = {step + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def copy_path(path: Path, version: int) -> Path:
    """Where a database as it was in an older version is kept."""
    return path.with_name(f"{path.name}.v{version}{COPY_SUFFIX}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _copy(connection: sqlite3.Connection, path: Path, version: int) -> None:
    # First: what was killed while it copied left as much as there may now be too little of.
    _remove_abandoned(path)
    page_bytes, pages = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count")
    )
    free_bytes = shutil.disk_usage(path.parent).free
    needed_bytes = page_bytes * pages + ROOM_BYTES
    if free_bytes < needed_bytes:
        raise OSError(
            errno.ENOSPC,
            f"no space for a copy of it before its schema is changed: {needed_bytes} bytes are needed and "
            f"{free_bytes} free",
        )
    target = copy_path(path, version)
    draft = path.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_MODE))
        copy = sqlite3.connect(draft)
        try:
            connection.backup(copy, pages=PAGES_AT_A_TIME)
        finally:
            copy.close()
        descriptor = os.open(draft, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    # One copy at a time: a database may be gigabytes.
    for older in range(version):
        copy_path(path, older).unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Drafts of copies whose process is there no more, or was another with our number."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.v*{COPY_SUFFIX}.*"):
        owner = draft.name.rpartition(f"{COPY_SUFFIX}.")[2].removesuffix("-journal")
        if owner.isdecimal() and (int(owner) == os.getpid() or not process_exists(int(owner))):
            draft.unlink(missing_ok=True)
