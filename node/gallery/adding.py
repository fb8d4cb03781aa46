"""Adding within quotas: who is let in, what replaces what, and how much of each source a collection holds."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from node.gallery.entries import Added, Entry, StoredItem


class Adding:
    """One transaction that adds to one collection, with the tallies of its quotas."""

    def __init__(self, database: sqlite3.Connection, collection: int) -> None:
        self.added = Added()
        """What became of the entries so far."""
        self._database = database
        self._collection = collection
        self._items_max, self._source_items_max = database.execute(
            "SELECT items_max, source_items_max FROM collections WHERE collection = ?", (collection,)
        ).fetchone()
        self._tally: dict[str, int] = dict(
            database.execute("SELECT source, items FROM tallies WHERE collection = ?", (collection,))
        )
        self._total = sum(self._tally.values())

    def put(self, entry: Entry, stored: StoredItem | None) -> None:
        """Add an entry, unless there is no room for it, or what is stored of its item is as good."""
        if stored is None:
            if self._admit(entry.source):
                self._join(self._insert(entry))
                self.added.new += 1
            return
        better = entry.rank > _rank(stored)
        member = self._database.execute(
            "SELECT count(*) FROM members WHERE collection = ? AND row = ?", (self._collection, stored.row)
        ).fetchone()[0]
        # A better vector of an item that is here counts for whoever brought the item first.
        if not member and not self._admit(stored.source):
            return
        if better:
            row = self._replace(replace(entry, source=stored.source), stored.row)
            self.added.replaced += 1
        else:
            row = stored.row
            self.added.known += bool(member)
            self.added.joined += not member
        if not member:
            self._join(row)

    def finish(self) -> None:
        """Write the tallies down, before the transaction ends."""
        self._database.executemany(
            "INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)",
            [(self._collection, source, items) for source, items in self._tally.items()],
        )
        if self.added.new or self.added.replaced:
            self._database.execute("UPDATE gallery SET generation = generation + 1")

    def _admit(self, source: str) -> bool:
        count = self._tally.get(source, 0)
        if self._total >= self._items_max or count >= self._source_items_max:
            self.added.over_quota[source] = self.added.over_quota.get(source, 0) + 1
            return False
        self._tally[source] = count + 1
        self._total += 1
        return True

    def _insert(self, entry: Entry) -> int:
        row = self._database.execute(
            "INSERT INTO items (item_id, origin, source, round, shard, epoch, space, preview) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.item_id,
                entry.origin.value,
                entry.source,
                entry.round,
                entry.shard,
                entry.epoch,
                entry.space,
                entry.preview,
            ),
        ).lastrowid
        assert row is not None
        self._database.execute("INSERT INTO vectors VALUES (?, ?)", (row, entry.vector))
        return row

    def _replace(self, entry: Entry, row: int) -> int:
        self._database.execute("DELETE FROM items WHERE row = ?", (row,))
        self._database.execute("DELETE FROM vectors WHERE row = ?", (row,))
        new = self._insert(entry)
        self._database.execute("UPDATE members SET row = ? WHERE row = ?", (new, row))
        return new

    def _join(self, row: int) -> None:
        self._database.execute("INSERT INTO members VALUES (?, ?)", (self._collection, row))


def _rank(stored: StoredItem) -> tuple[bool, bool, int, int]:
    return stored.origin.certified, stored.space is None, stored.round, -stored.shard


def count_again(database: sqlite3.Connection, collection: int) -> None:
    """Tally a collection anew, when items were taken out of it."""
    database.execute("DELETE FROM tallies WHERE collection = ?", (collection,))
    database.execute(
        "INSERT INTO tallies SELECT collection, source, count(*) FROM members JOIN items USING (row) "
        "WHERE collection = ? GROUP BY source",
        (collection,),
    )
