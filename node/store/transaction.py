"""One SQLite transaction: all of it or nothing reaches the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of the body or nothing of it. Raises what the body does, and sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself after a full disk or a damaged page.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
