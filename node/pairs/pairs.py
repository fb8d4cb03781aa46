"""The newest pairs of item and certified consensus vector, on an encoder's disk: what models learn from."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from node.store.database import BUSY_TIMEOUT_MS, Access
from node.store.errors import StoreCorrupted, StoreError, StoreTooNew, translated
from node.store.migrating import migrate
from node.store.transaction import transaction
from protocol.items import item_id
from protocol.report import DIMENSIONS, VECTOR_BYTES

FILE_NAME: Final = "pairs.sqlite"
PAIRS_MAX: Final = 4_096
BYTES_MAX: Final = 128 << 20
"""Items and vectors together: 4,096 texts take 18 MB, the largest images and sounds leave room for 1,900."""
_APPLICATION_ID: Final = 0x646D7072
_TABLE: Final = """
CREATE TABLE pairs (
    item_id BLOB NOT NULL PRIMARY KEY,
    round INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    centred INTEGER NOT NULL,
    item BLOB NOT NULL,
    vector BLOB NOT NULL
) STRICT, WITHOUT ROWID
"""
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = ((_TABLE,),)
"""Step i takes a file of version i to version i + 1. A step is never edited once released."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An item and the raw consensus vector certified for it."""

    item: bytes
    """Canonical bytes."""
    vector: bytes
    """Little-endian float32 [1024]."""
    round: int
    epoch: int
    centred: bool
    """Whether encoders' means were subtracted: not in the first epochs, whose records have none."""


class Pairs:
    """At most `pairs_max` pairs and `bytes_max` bytes; the oldest rounds give way. Thread-safe.

    Every method raises StoreError where the disk or the file does not serve.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, pairs_max: int, bytes_max: int) -> None:
        self._path = path
        self._connection = connection
        self._pairs_max = pairs_max
        self._bytes_max = bytes_max
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        access: Access = Access.READ_WRITE,
        pairs_max: int = PAIRS_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> Self:
        """The pairs of the node whose data directory is `folder`; to read them, beside a running node.

        Raises StoreError where there are none to read, or the file is damaged or of another program.
        """
        path = folder / FILE_NAME
        if access is Access.READ_ONLY and not path.exists():
            raise StoreError(
                f"there are no pairs in {folder}: an encoder gathers them from certified rounds while it "
                "runs; start it with `deltamesh run encoder`"
            )
        with translated(path):
            mode = "ro" if access is Access.READ_ONLY else "rwc"
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=BUSY_TIMEOUT_MS / 1_000,
            )
            try:
                _prepare(connection, access, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, pairs_max, bytes_max)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock, translated(self._path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """How many there are."""
        return int(self._all("SELECT count(*) FROM pairs")[0][0])

    def rounds(self) -> frozenset[int]:
        """The rounds they are from."""
        return frozenset(row[0] for row in self._all("SELECT DISTINCT round FROM pairs"))

    def add(self, pairs: Sequence[Pair]) -> int:
        """Take up pairs, one of an older round giving way to a newer one of its item; how many are new here.

        A vector with a coordinate that is no number says that there was no consensus, and is passed over.
        """
        rows = [
            (item_id(one.item), one.round, one.epoch, int(one.centred), one.item, one.vector)
            for one in pairs
            if _is_vector(one.vector)
        ]
        with self._transaction() as database:
            before = database.total_changes
            database.executemany(
                "INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (item_id) DO UPDATE SET "
                "round = excluded.round, epoch = excluded.epoch, centred = excluded.centred, "
                "vector = excluded.vector WHERE excluded.round > round",
                rows,
            )
            added = database.total_changes - before
            # Newest first; a row goes when those before it and itself are more than there is room for.
            database.execute(
                "DELETE FROM pairs WHERE item_id IN (SELECT item_id FROM (SELECT item_id, "
                "row_number() OVER place AS rank, "
                "sum(length(item) + length(vector)) OVER place AS bytes FROM pairs "
                "WINDOW place AS (ORDER BY round DESC, item_id)) WHERE rank > ? OR bytes > ?)",
                (self._pairs_max, self._bytes_max),
            )
        return added

    def newest(self, n: int) -> tuple[list[bytes], NDArray[np.float32]]:
        """The newest `n` items, or as many as there are, and their raw consensus vectors [n, 1024] float32.

        Vectors of epochs without encoders' means come with their own common mean subtracted, so that all lie
        around zero: who answers near them agrees with the consensus once its own mean is taken away.
        """
        rows = self._all(
            "SELECT item, vector, centred FROM pairs ORDER BY round DESC, item_id LIMIT ?", (max(n, 0),)
        )
        items = [row[0] for row in rows]
        vectors = np.empty((len(rows), DIMENSIONS), np.float32)
        for place, (_, vector, _) in enumerate(rows):
            vectors[place] = np.frombuffer(vector, "<f4")
        uncentred = np.array([not row[2] for row in rows], dtype=bool)
        if uncentred.any():
            vectors[uncentred] -= self._uncentred_mean()
        return items, vectors

    def _uncentred_mean(self) -> NDArray[np.float32]:
        """Of all that is here, so that it does not depend on how many are asked for."""
        total, count = np.zeros(DIMENSIONS), 0
        for (vector,) in self._all("SELECT vector FROM pairs WHERE centred = 0"):
            total += np.frombuffer(vector, "<f4")
            count += 1
        return (total / max(count, 1)).astype(np.float32)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translated(self._path), transaction(self._connection) as connection:
            yield connection

    def _all(self, sql: str, values: Sequence[int] = ()) -> list[Any]:
        with self._lock, translated(self._path):
            return self._connection.execute(sql, values).fetchall()


def _is_vector(data: bytes) -> bool:
    return len(data) == VECTOR_BYTES and bool(np.isfinite(np.frombuffer(data, "<f4")).all())


def _prepare(connection: sqlite3.Connection, access: Access, path: Path) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    if access is Access.READ_WRITE:
        connection.execute("PRAGMA journal_mode = WAL")
        # What a power cut loses is fetched again, or not missed.
        connection.execute("PRAGMA synchronous = NORMAL")
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if tables and application != _APPLICATION_ID:
        raise StoreCorrupted(f"cannot use {path}: it is the database of another program; move it away")
    if version > len(MIGRATIONS):
        raise StoreTooNew(f"cannot use {path}: newer software wrote it; install that, or move the file away")
    if access is Access.READ_WRITE:
        migrate(connection, path, MIGRATIONS, _APPLICATION_ID)
