"""One SQLite connection, shared by threads: opening, migrating, transactions."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from node.store.errors import StoreCorrupted, StoreError, StoreTooNew, translated
from node.store.limits import StoreLimits
from node.store.migrating import migrate
from node.store.schema import APPLICATION_ID, MIGRATIONS
from node.store.transaction import transaction

BUSY_TIMEOUT_MS = 5_000
"""How long a write waits for another process, such as an export that reads the running node's database."""

PAGE_BYTES = 4_096
CACHE_KIB = 4 << 10
"""Pages kept by each process that has it open; the operating system keeps what is read again all the same."""

SQL_VALUES_MAX = 500
"""Ids bound in one statement; longer lists go in several."""


class Access(Enum):
    """What the opener means to do."""

    READ_WRITE = "read_write"
    """The node: the only writer of its data directory."""
    READ_ONLY = "read_only"
    """A command that looks at the data of a node, which may be running."""


class Put(Enum):
    """What became of something offered to a bounded table."""

    NEW = "new"
    KNOWN = "known"
    """It was there already; nothing changed."""
    FULL = "full"
    """The bound of its kind is reached; it was not kept."""


class Database:
    """The connection all tables share. Thread-safe: one lock around every transaction and every read."""

    def __init__(self, path: Path, connection: sqlite3.Connection, limits: StoreLimits) -> None:
        self._path = path
        self._connection = connection
        self._limits = limits
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the connection; closing twice is harmless."""
        with self._lock, translated(self._path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the body or nothing of it reaches the database."""
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            yield connection

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Every row of a query."""
        with self._lock, translated(self._path):
            return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any | None:
        """The first row of a query, or None."""
        with self._lock, translated(self._path):
            return self._connection.execute(sql, values).fetchone()

    def _check_envelope(self, envelope: bytes) -> None:
        """Refuse an envelope that validation should never have let through."""
        if len(envelope) > self._limits.envelope_bytes_max:
            raise StoreError(
                f"an envelope of {len(envelope)} bytes is over the bound of "
                f"{self._limits.envelope_bytes_max}; move bulk data as a blob"
            )


def connect(path: Path, access: Access, limits: StoreLimits) -> sqlite3.Connection:
    """Open and migrate. Raises `StoreError` when the file is not ours, damaged, too new or not usable."""
    with translated(path):
        if access is Access.READ_WRITE:
            path.parent.mkdir(parents=True, exist_ok=True)
        mode = "ro" if access is Access.READ_ONLY else "rwc"
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_MS / 1_000,
        )
        try:
            _configure(connection, access, limits)
            _migrate(connection, access, path)
        except BaseException:
            connection.close()
            raise
    return connection


def in_batches(ids: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Placeholders and values for `IN (...)`, a bounded number at a time."""
    for start in range(0, len(ids), SQL_VALUES_MAX):
        batch = list(ids[start : start + SQL_VALUES_MAX])
        yield ",".join("?" * len(batch)), batch


def _configure(connection: sqlite3.Connection, access: Access, limits: StoreLimits) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    # A database from elsewhere must not run functions of ours from its schema.
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    if access is Access.READ_WRITE:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        # WAL with NORMAL never corrupts; a power cut may lose the last transactions, which peers still have.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA max_page_count = {max(1, limits.database_bytes_max // PAGE_BYTES)}")


def _migrate(connection: sqlite3.Connection, access: Access, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if application != APPLICATION_ID and (tables or version or application):
        raise StoreCorrupted(
            f"cannot use {path}: it is the database of another program; "
            "give the node a data directory of its own"
        )
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"cannot use {path}: its schema is version {version} and this software knows up to "
            f"{len(MIGRATIONS)}; install the newer software again, or use another data directory"
        )
    if version == len(MIGRATIONS):
        return
    if access is Access.READ_ONLY:
        raise StoreError(
            f"cannot read {path}: its schema is version {version}, older than {len(MIGRATIONS)}; "
            "start the node once to bring it up to date"
        )
    migrate(connection, path, MIGRATIONS, APPLICATION_ID)
