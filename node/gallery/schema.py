"""The tables of a gallery. A migration is never edited once released: later ones change what it made."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x646D676C
"""`dmgl`, in the header of the file: tells a gallery from any other database."""

_INITIAL = (
    # One row. `generation` grows with every change of the vectors: what is cached beside names it.
    """CREATE TABLE gallery (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        gallery_id BLOB NOT NULL CHECK (length(gallery_id) = 16),
        network_id BLOB CHECK (length(network_id) = 32),
        modality TEXT,
        generation INTEGER NOT NULL
    )""",
    # A row never changes its vector, and its number is never used again: a new vector is a new row.
    # space: the epoch whose transform shaped the vector before it came here; NULL for a raw one.
    # epoch: that of a raw vector's round, which says what it was centred on.
    """CREATE TABLE items (
        row INTEGER PRIMARY KEY AUTOINCREMENT,
        item_id BLOB NOT NULL UNIQUE CHECK (length(item_id) = 32),
        origin TEXT NOT NULL,
        source TEXT NOT NULL,
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        epoch INTEGER,
        space INTEGER,
        preview TEXT NOT NULL,
        CHECK ((epoch IS NULL) != (space IS NULL))
    )""",
    "CREATE INDEX items_by_kind ON items (space, epoch)",
    # Apart from the rest: vectors are read in one go, and the rest without them.
    "CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL CHECK (length(vector) = 4096))",
    """CREATE TABLE collections (
        collection INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        items_max INTEGER NOT NULL,
        source_items_max INTEGER NOT NULL
    )""",
    """CREATE TABLE members (
        collection INTEGER NOT NULL,
        row INTEGER NOT NULL,
        PRIMARY KEY (collection, row)
    ) WITHOUT ROWID""",
    "CREATE INDEX members_by_row ON members (row)",
    """CREATE TABLE tallies (
        collection INTEGER NOT NULL,
        source TEXT NOT NULL,
        items INTEGER NOT NULL,
        PRIMARY KEY (collection, source)
    ) WITHOUT ROWID""",
    # What was added before, so that adding goes on where it was interrupted: a round, a file by its digest.
    """CREATE TABLE taken (
        collection INTEGER NOT NULL,
        name TEXT NOT NULL,
        rows INTEGER NOT NULL,
        whole INTEGER NOT NULL,
        PRIMARY KEY (collection, name)
    ) WITHOUT ROWID""",
    "CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, centred INTEGER NOT NULL)",
    """CREATE TABLE spaces (
        epoch INTEGER PRIMARY KEY,
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        moments BLOB NOT NULL
    )""",
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_INITIAL,)
"""Step i takes a gallery of version i to version i + 1; `user_version` holds the version."""
