"""The SQLite file of a gallery: opening, migrating, transactions."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from node.gallery.errors import DamagedGalleryError, GalleryError, GalleryStorageError, translated
from node.gallery.limits import FILE_BYTES_MAX
from node.gallery.schema import APPLICATION_ID, MIGRATIONS
from node.store.migrating import migrate
from node.store.transaction import transaction

PAGE_BYTES: Final = 32 << 10
"""Seven vectors a page: with SQLite's usual pages each would take two."""
CACHE_KIB: Final = 32 << 10
BUSY_TIMEOUT_S: Final = 10.0
SQL_VALUES_MAX: Final = 500
"""Values bound in one statement; longer lists go in several."""


@dataclass(frozen=True, slots=True)
class GalleryFacts:
    """What a gallery is of."""

    gallery_id: bytes
    network_id: bytes | None
    """None until something was added."""
    modality: str | None
    generation: int
    """Grows with every change of the vectors."""


class GalleryFile:
    """The connection all tables share. Thread-safe: one lock around every transaction and every read."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path: Final = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, create: bool = False, size_bytes_max: int = FILE_BYTES_MAX) -> Self:
        """Open a gallery, or with `create` make one where there is none. Raises GalleryStorageError."""
        gallery = cls(path, _connect(path, create, size_bytes_max))
        try:
            gallery.facts()
        except GalleryStorageError:
            gallery.close()
            raise
        return gallery

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock, translated(self.path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def facts(self) -> GalleryFacts:
        """What the gallery is of. Raises GalleryStorageError."""
        rows = self._all("SELECT gallery_id, network_id, modality, generation FROM gallery")
        if len(rows) != 1:
            raise DamagedGalleryError(
                f"the gallery {self.path} is damaged (it does not say what it is of): move it away and add "
                "its "
                "items again"
            )
        return GalleryFacts(*rows[0])

    def bind(self, network_id: bytes, modality: str) -> None:
        """Say whose vectors these are: the first call decides, others must agree. Raises GalleryError."""
        facts = self.facts()
        if facts.network_id is None:
            with self._transaction() as database:
                database.execute(
                    "UPDATE gallery SET network_id = ?, modality = ? WHERE network_id IS NULL",
                    (network_id, modality),
                )
            facts = self.facts()
        if facts.network_id != network_id:
            assert facts.network_id is not None
            raise GalleryError(
                f"these vectors are of network {network_id.hex()[:16]}, those of the gallery {self.path} of "
                f"{facts.network_id.hex()[:16]}, and networks share no space: name another --gallery"
            )
        if facts.modality != modality:
            raise GalleryError(
                f"these items are {modality}, those of the gallery {self.path} {facts.modality}: name "
                "another "
                "--gallery"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the body or nothing of it reaches the file."""
        with self._lock, translated(self.path), transaction(self._connection) as connection:
            yield connection

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, translated(self.path):
            return self._connection.execute(sql, values).fetchall()

    def _one(self, sql: str, values: Sequence[Any] = ()) -> Any | None:
        with self._lock, translated(self.path):
            return self._connection.execute(sql, values).fetchone()


def in_batches(values: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Placeholders and values for `IN (...)`, a bounded number at a time."""
    for start in range(0, len(values), SQL_VALUES_MAX):
        batch = list(values[start : start + SQL_VALUES_MAX])
        yield ",".join("?" * len(batch)), batch


def _connect(path: Path, create: bool, size_bytes_max: int) -> sqlite3.Connection:
    if not create and not path.is_file():
        raise GalleryStorageError(f"there is no gallery {path}: make one with `deltamesh gallery add`")
    with translated(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path if path.exists() else path.parent, os.W_OK)
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw' if writable else 'ro'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
        )
        try:
            connection.text_factory = _text
            # A file from elsewhere must not run functions of ours from its schema.
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            _migrate(connection, path, size_bytes_max, writable)
        except BaseException:
            connection.close()
            raise
    return connection


def _text(data: bytes) -> str:
    """A damaged text is shown as what is left of it."""
    return data.decode(errors="replace")


def _migrate(connection: sqlite3.Connection, path: Path, size_bytes_max: int, writable: bool) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if application != APPLICATION_ID and (tables or version or application):
        raise GalleryStorageError(
            f"{path} is no gallery but the database of another program: name another --gallery"
        )
    if version > len(MIGRATIONS):
        raise GalleryStorageError(
            f"the gallery {path} has version {version} and this software knows up to {len(MIGRATIONS)}: "
            "install the newer software, or name another --gallery"
        )
    if writable:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
        connection.execute(f"PRAGMA max_page_count = {max(1, size_bytes_max // page_bytes)}")
    migrate(connection, path, MIGRATIONS, APPLICATION_ID, _named)


def _named(connection: sqlite3.Connection) -> None:
    """What tells a new gallery from all others."""
    connection.execute("INSERT INTO gallery VALUES (1, ?, NULL, NULL, 0)", (secrets.token_bytes(16),))
