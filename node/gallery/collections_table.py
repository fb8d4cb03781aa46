"""Collections of a gallery: their quotas, who fills them, and what was added to them before."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from node.gallery.database import GalleryFile
from node.gallery.errors import GalleryError
from node.gallery.limits import (
    COLLECTION_ITEMS_MAX,
    COLLECTION_NAME,
    COLLECTIONS_MAX,
    QUOTA_MAX,
    SOURCE_ITEMS_MAX,
)

DEFAULT_COLLECTION = "all"


@dataclass(frozen=True, slots=True)
class CollectionFacts:
    """One collection: its quotas and how much is in it."""

    name: str
    items_max: int
    source_items_max: int
    items: int
    sources: int
    largest_source: str | None
    largest_source_items: int


@dataclass(frozen=True, slots=True)
class Taken:
    """How much of a source was added to a collection before; `whole`: all of it, and nothing was left out."""

    rows: int
    whole: bool


class Collections(GalleryFile):
    """At most COLLECTIONS_MAX, each with two quotas: of items, and of items of one source."""

    def make_collection(
        self, name: str, *, items_max: int | None = None, source_items_max: int | None = None
    ) -> None:
        """Make a collection unless it is there, and set the quotas that are given.

        A quota below what is in it removes nothing; nothing is added until it is met again. Raises
        GalleryError for a bad name, a bad quota, and one collection too many.
        """
        check_name(name)
        for quota in (items_max, source_items_max):
            if quota is not None and not 1 <= quota <= QUOTA_MAX:
                raise GalleryError(f"a quota is 1 to {QUOTA_MAX:,} items, not {quota:,}")
        with self._transaction() as database:
            known = database.execute("SELECT count(*) FROM collections WHERE name = ?", (name,)).fetchone()[0]
            count = database.execute("SELECT count(*) FROM collections").fetchone()[0]
            if not known and count >= COLLECTIONS_MAX:
                raise GalleryError(
                    f"a gallery has at most {COLLECTIONS_MAX} collections: remove one, or name another "
                    "--gallery"
                )
            database.execute(
                "INSERT INTO collections (name, items_max, source_items_max) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (name, COLLECTION_ITEMS_MAX, SOURCE_ITEMS_MAX),
            )
            database.execute(
                "UPDATE collections SET items_max = coalesce(?, items_max), "
                "source_items_max = coalesce(?, source_items_max) WHERE name = ?",
                (items_max, source_items_max, name),
            )

    def collections(self) -> list[CollectionFacts]:
        """All collections by name."""
        rows = self._all(
            "SELECT name, items_max, source_items_max, coalesce(sum(items), 0), count(items), "
            "coalesce(max(items), 0), (SELECT source FROM tallies AS one WHERE one.collection = "
            "collections.collection ORDER BY items DESC, source LIMIT 1) "
            "FROM collections LEFT JOIN tallies USING (collection) GROUP BY collections.collection "
            "ORDER BY name"
        )
        return [
            CollectionFacts(name, items_max, source_max, items, sources, largest, largest_items)
            for name, items_max, source_max, items, sources, largest_items, largest in rows
        ]

    def collection_number(self, name: str) -> int:
        """The key of a collection in the tables. Raises GalleryError, naming those there are."""
        row = self._one("SELECT collection FROM collections WHERE name = ?", (name,))
        if row is None:
            named = ", ".join(
                one[0] for one in self._all("SELECT name FROM collections ORDER BY name LIMIT 9")
            )
            raise GalleryError(
                f"there is no collection '{name[:80]}' in {self.path}: it has {named or 'none'}"
            )
        return int(row[0])

    def taken(self, collection: str, name: str) -> Taken:
        """How much of a round or file was added before. Raises GalleryError."""
        row = self._one(
            "SELECT rows, whole FROM taken WHERE collection = ? AND name = ?",
            (self.collection_number(collection), name),
        )
        return Taken(0, False) if row is None else Taken(int(row[0]), bool(row[1]))

    def taken_names(self, collection: str) -> set[str]:
        """All that was added whole, by name. Raises GalleryError."""
        number = self.collection_number(collection)
        return {
            row[0] for row in self._all("SELECT name FROM taken WHERE collection = ? AND whole", (number,))
        }


def check_name(name: str) -> None:
    """Raise GalleryError for what cannot name a collection."""
    if not re.fullmatch(COLLECTION_NAME, name):
        raise GalleryError(
            f"'{name[:80]}' cannot name a collection: use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning "
            "with "
            "a letter or digit"
        )


def keep_taken(database: sqlite3.Connection, collection: int, name: str, taken: Taken) -> None:
    """Write down how far adding has come, in the transaction that adds."""
    database.execute(
        "INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?)", (collection, name, taken.rows, taken.whole)
    )
