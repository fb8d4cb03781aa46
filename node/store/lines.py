"""Whose turn it is in the queue: clients stand in lines of their own and are served in turn, an item each.

Every item gets the number of a turn when it is queued, and items are served by their turns: self-clocked fair
queueing (Golestani 1994) where every item costs the same. The next item of a client in line gets the turn
after its last one; who joins gets the turn after the last that was served, behind everybody in it. So a long
list delays others by one item a turn, and whoever comes and goes overtakes nobody who waits.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """Where the next item of a client would stand."""

    client: int | None
    """None: it has no item in the queue."""
    items: int
    """It has in the queue."""
    size_bytes: int
    turn: int


def line_of(database: sqlite3.Connection, name: str) -> Line:
    """The line of a client, inside a transaction."""
    served = int(database.execute("SELECT turn FROM queue").fetchone()[0])
    row = database.execute(
        "SELECT id, items, size_bytes, "
        "(SELECT max(turn) FROM items WHERE state = 'pending' AND client = clients.id) "
        "FROM clients WHERE name = ?",
        (name,),
    ).fetchone()
    if row is None:
        return Line(None, 0, 0, served + 1)
    return Line(row[0], row[1], row[2], max(served, row[3] or 0) + 1)


def joined(database: sqlite3.Connection, name: str, line: Line) -> int:
    """The number of a client, which has one while it is in line; later ones stand behind it in every turn."""
    if line.client is not None:
        return line.client
    return int(database.execute("INSERT INTO clients (name) VALUES (?) RETURNING id", (name,)).fetchone()[0])
