"""Items of a gallery: added within quotas, looked up, removed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from node.gallery.adding import Adding, count_again
from node.gallery.collections_table import Collections, Taken, keep_taken
from node.gallery.database import in_batches
from node.gallery.entries import Added, Entry, Origin, StoredItem, usable
from node.gallery.errors import DamagedGalleryError, translated
from node.gallery.limits import BATCH_ROWS, DIMENSIONS, VECTOR_BYTES

_COLUMNS = "row, item_id, origin, source, round, shard, epoch, space, preview"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items: those for which all holds that is said. Rounds are [from_round, to_round)."""

    collection: str | None = None
    source: str | None = None
    without_sources: tuple[str, ...] = ()
    """Beginnings are enough for either: sources are long."""
    item_id: bytes | None = None
    from_round: int | None = None
    to_round: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return self == EVERYTHING


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True)
class VectorRows:
    """A part of the vectors, by row."""

    rows: npt.NDArray[np.int64]  # [n]
    epochs: npt.NDArray[np.int64]
    """[n] of the rounds of raw vectors; -1 for shaped ones."""
    spaces: npt.NDArray[np.int64]
    """[n] the epoch whose transform shaped them; -1 for raw ones."""
    vectors: npt.NDArray[np.float32]  # [n, DIMENSIONS]


class Items(Collections):
    """One row an item, in as many collections as it was added to."""

    def add(self, collection: str, entries: Sequence[Entry], name: str = "", rows: int = 0) -> Added:
        """Add entries to a collection, all that find room in one transaction.

        With a `name`, remember that so many `rows` of it are done, unless a quota left some out. Raises
        GalleryError where there is no such collection, GalleryStorageError.
        """
        number = self.collection_number(collection)
        kept, unusable = usable(entries)
        # The best of each item's; `kept` may hold one twice.
        best: dict[bytes, Entry] = {}
        for entry in kept:
            if entry.item_id not in best or entry.rank > best[entry.item_id].rank:
                best[entry.item_id] = entry
        with self._transaction() as database:
            session = Adding(database, number)
            for entry in best.values():
                session.put(entry, self._stored(entry.item_id))
            session.finish()
            added = session.added
            added.unusable, added.known = unusable, added.known + len(kept) - len(best)
            if name and not added.left_out:
                keep_taken(database, number, name, Taken(rows, False))
            return added

    def take_whole(self, collection: str, name: str, rows: int) -> None:
        """Remember that all of a round or file was added to a collection."""
        number = self.collection_number(collection)
        with self._transaction() as database:
            keep_taken(database, number, name, Taken(rows, True))

    def item(self, item_id: bytes) -> StoredItem | None:
        """One item."""
        return self._stored(item_id)

    def items_beginning(self, prefix: str, limit: int = 2) -> list[StoredItem]:
        """The first items whose id begins with these hexadecimal digits."""
        lower = bytes.fromhex(prefix.ljust(64, "0"))
        upper = bytes.fromhex(prefix.ljust(64, "f"))
        return self._items("item_id BETWEEN ? AND ? ORDER BY item_id LIMIT ?", lower, upper, limit)

    def items_of(self, selection: Selection, limit: int, after: bytes = b"") -> list[StoredItem]:
        """The first selected items after an id, by id."""
        condition, values = self._condition(selection)
        return self._items(f"item_id > ? AND {condition} ORDER BY item_id LIMIT ?", after, *values, limit)

    def items_at(self, rows: Sequence[int]) -> dict[int, StoredItem]:
        """Items by row; a row that was removed is missing."""
        found: dict[int, StoredItem] = {}
        for marks, batch in in_batches(rows):
            found.update((one.row, one) for one in self._items(f"row IN ({marks})", *batch))
        return found

    def collections_of(self, rows: Sequence[int]) -> dict[int, list[str]]:
        """The collections each item is in, by row."""
        found: dict[int, list[str]] = {row: [] for row in rows}
        for marks, batch in in_batches(rows):
            sql = f"SELECT row, name FROM members JOIN collections USING (collection) WHERE row IN ({marks})"
            for row, name in self._all(f"{sql} ORDER BY name", batch):
                found[row].append(name)
        return found

    def rows(self, selection: Selection) -> npt.NDArray[np.int64]:
        """Rows of the selected items, ascending. Raises GalleryError for an unknown collection."""
        condition, values = self._condition(selection)
        sql = f"SELECT row FROM items WHERE {condition} ORDER BY row"
        return np.fromiter((row[0] for row in self._all(sql, values)), np.int64)

    def newest_rows(self, limit: int) -> npt.NDArray[np.int64]:
        """Rows of the items of the latest rounds, those first."""
        sql = "SELECT row FROM items ORDER BY round DESC, row DESC LIMIT ?"
        return np.fromiter((row[0] for row in self._all(sql, (limit,))), np.int64)

    def count(self, selection: Selection) -> int:
        """How many items are selected. Raises GalleryError for an unknown collection."""
        condition, values = self._condition(selection)
        return int(self._all(f"SELECT count(*) FROM items WHERE {condition}", values)[0][0])

    def kinds(self, selection: Selection) -> list[tuple[int | None, int | None, int]]:
        """How many of the selected items have which (space, epoch). Raises GalleryError."""
        condition, values = self._condition(selection)
        sql = f"SELECT space, epoch, count(*) FROM items WHERE {condition} GROUP BY space, epoch"
        return [(space, epoch, count) for space, epoch, count in self._all(sql, values)]

    def vectors_after(self, row: int, to_row: int | None = None) -> Iterator[VectorRows]:
        """The vectors of all rows in (row, to_row], ascending, a bounded number at a time."""
        while True:
            found = self._all(
                "SELECT row, epoch, space, vector FROM items JOIN vectors USING (row) "
                "WHERE row > ?1 AND (?2 IS NULL OR row <= ?2) ORDER BY row LIMIT ?3",
                (row, to_row, BATCH_ROWS),
            )
            if not found:
                return
            row = found[-1][0]
            yield _vector_rows(found)

    def vector_rows(self, rows: Sequence[int]) -> VectorRows:
        """The vectors of some rows, ascending; rows that were removed are missing."""
        found: list[Any] = []
        for marks, batch in in_batches(sorted(rows)):
            found += self._all(
                "SELECT row, epoch, space, vector FROM items JOIN vectors USING (row) "
                f"WHERE row IN ({marks}) ORDER BY row",
                batch,
            )
        return _vector_rows(found)

    def remove(self, selection: Selection) -> int:
        """Take the selected items out of the selection's collection, or out of the gallery; how many.

        What was added before may be added again. Raises GalleryError for an unknown collection.
        """
        condition, values = self._condition(selection)
        number = None if selection.collection is None else self.collection_number(selection.collection)
        with self._transaction() as database:
            database.execute("CREATE TEMP TABLE gone AS SELECT row FROM items WHERE " + condition, values)
            count = int(database.execute("SELECT count(*) FROM gone").fetchone()[0])
            touched = database.execute(
                "SELECT DISTINCT collection FROM members WHERE row IN (SELECT row FROM gone) "
                "AND (?1 IS NULL OR collection = ?1)",
                (number,),
            ).fetchall()
            database.execute(
                "DELETE FROM members WHERE row IN (SELECT row FROM gone) AND (?1 IS NULL OR collection = ?1)",
                (number,),
            )
            nowhere = "row IN (SELECT row FROM gone) AND row NOT IN (SELECT row FROM members)"
            database.execute(f"DELETE FROM vectors WHERE {nowhere}")
            database.execute(f"DELETE FROM items WHERE {nowhere}")
            for (one,) in touched:
                database.execute("DELETE FROM taken WHERE collection = ?", (one,))
                count_again(database, one)
            database.execute("DROP TABLE gone")
            database.execute("UPDATE gallery SET generation = generation + 1")
        with self._lock, translated(self.path):
            # A script runs to its end; a statement would give back one page.
            self._connection.executescript("PRAGMA incremental_vacuum")
        return count

    def drop_collection(self, name: str) -> int:
        """Remove a collection with its quotas, and the items that are in no other; how many were in it."""
        count = self.remove(Selection(collection=name))
        number = self.collection_number(name)
        with self._transaction() as database:
            for table in ("taken", "tallies", "collections"):
                database.execute(f"DELETE FROM {table} WHERE collection = ?", (number,))
        return count

    def _stored(self, item_id: bytes) -> StoredItem | None:
        found = self._items("item_id = ?", item_id)
        return found[0] if found else None

    def _items(self, condition: str, *values: Any) -> list[StoredItem]:
        rows = self._all(f"SELECT {_COLUMNS} FROM items WHERE {condition}", values)
        return [self._item(*row) for row in rows]

    def _item(
        self, row: Any, item_id: Any, origin: Any, source: Any, round_: Any, shard: Any, *rest: Any
    ) -> StoredItem:
        """A row as an item. SQLite gives what a damaged page says, whatever a column's type."""
        epoch, space, preview = rest
        numbers = [row, round_, shard, *(one for one in (epoch, space) if one is not None)]
        texts = (origin, source, preview)
        sound = all(type(one) is int for one in numbers) and all(type(one) is str for one in texts)
        if not sound or type(item_id) is not bytes or origin not in set(Origin):
            raise DamagedGalleryError(
                f"the gallery {self.path} is damaged (item {row}): move it away and add its items again"
            )
        return StoredItem(row, item_id, Origin(origin), source, round_, shard, epoch, space, preview)

    def _condition(self, selection: Selection) -> tuple[str, list[Any]]:
        parts: list[tuple[str, Any]] = []
        if selection.collection is not None:
            number = self.collection_number(selection.collection)
            parts.append(("row IN (SELECT row FROM members WHERE collection = ?)", number))
        if selection.source is not None:
            parts.append(("substr(source, 1, length(?)) = ?", selection.source))
        parts += [("substr(source, 1, length(?)) != ?", one) for one in selection.without_sources]
        if selection.item_id is not None:
            parts.append(("item_id = ?", selection.item_id))
        if selection.from_round is not None:
            parts.append(("round >= ?", selection.from_round))
        if selection.to_round is not None:
            parts.append(("round < ?", selection.to_round))
        values = [value for part, value in parts for _ in range(part.count("?"))]
        return " AND ".join(part for part, _ in parts) or "1", values


def _vector_rows(found: Sequence[Any]) -> VectorRows:
    def column(place: int) -> npt.NDArray[np.int64]:
        return np.array([-1 if one[place] is None else one[place] for one in found], np.int64)

    if any(not isinstance(one[3], bytes) or len(one[3]) != VECTOR_BYTES for one in found):
        raise DamagedGalleryError(
            "the gallery is damaged (a vector has not its length): move it away and add its items again"
        )
    vectors = np.frombuffer(b"".join(one[3] for one in found), "<f4").reshape(len(found), DIMENSIONS)
    return VectorRows(column(0), column(1), column(2), vectors)
