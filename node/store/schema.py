"""The tables. A migration is never edited once released: later ones change what earlier ones made."""

from __future__ import annotations

APPLICATION_ID = 0x646D7374
"""`dmst`, in the header of the file: tells our database from somebody else's."""

_INITIAL = (
    # A signed statement as it travelled; digest is what its signature covers.
    """CREATE TABLE statements (
        digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
        epoch INTEGER NOT NULL,
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        kind TEXT NOT NULL,
        signer BLOB NOT NULL CHECK (length(signer) = 32),
        envelope BLOB NOT NULL,
        received_ms INTEGER NOT NULL
    )""",
    "CREATE INDEX statements_by_round ON statements (round, kind)",
    # Rounds are counted from genesis, so round and shard name a row; the epoch is a fact about it.
    """CREATE TABLE rounds (
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'reported', 'certified', 'void')),
        dealer BLOB CHECK (length(dealer) = 32),
        report_digest BLOB CHECK (length(report_digest) = 32),
        header BLOB,
        certificate BLOB,
        timings_ms TEXT NOT NULL,
        updated_ms INTEGER NOT NULL,
        PRIMARY KEY (round, shard),
        CHECK ((state = 'certified') = (certificate IS NOT NULL))
    )""",
    "CREATE INDEX rounds_certified ON rounds (round) WHERE state = 'certified'",
    """CREATE TABLE scores (
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        encoder BLOB NOT NULL CHECK (length(encoder) = 32),
        score REAL NOT NULL,
        weight REAL NOT NULL,
        terms TEXT NOT NULL,
        PRIMARY KEY (round, shard, encoder),
        FOREIGN KEY (round, shard) REFERENCES rounds (round, shard)
    )""",
    "CREATE INDEX scores_by_encoder ON scores (encoder, round)",
    # content is NULL for an item known by its id alone: a pool item, or one another dealer released.
    # released_round is set once and never cleared: such an item is never scored again.
    """CREATE TABLE items (
        item_id BLOB PRIMARY KEY CHECK (length(item_id) = 32),
        modality TEXT,
        content BLOB,
        state TEXT NOT NULL CHECK (state IN ('pending', 'dealt', 'released', 'certified')),
        source TEXT NOT NULL,
        submitted_ms INTEGER NOT NULL,
        round INTEGER,
        released_round INTEGER,
        CHECK (content IS NOT NULL OR state IN ('released', 'certified'))
    )""",
    """CREATE TABLE steps (
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        step TEXT NOT NULL,
        wave INTEGER NOT NULL,
        elapsed_ms INTEGER NOT NULL,
        answered BLOB NOT NULL,
        missing BLOB NOT NULL,
        detail TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    )""",
    "CREATE INDEX steps_by_round ON steps (round, shard)",
    "CREATE INDEX items_by_state ON items (state, submitted_ms)",
    # The queue's length is read at every submission: kept by triggers, never counted.
    "CREATE TABLE queue (items INTEGER NOT NULL, size_bytes INTEGER NOT NULL)",
    "INSERT INTO queue VALUES (0, 0)",
    """CREATE TRIGGER item_queued AFTER INSERT ON items WHEN NEW.state = 'pending' BEGIN
        UPDATE queue SET items = items + 1, size_bytes = size_bytes + length(NEW.content);
    END""",
    """CREATE TRIGGER item_moved AFTER UPDATE ON items
    WHEN (OLD.state = 'pending') != (NEW.state = 'pending') BEGIN
        UPDATE queue SET
            items = items + (NEW.state = 'pending') - (OLD.state = 'pending'),
            size_bytes = size_bytes
                + CASE WHEN NEW.state = 'pending' THEN length(NEW.content) ELSE -length(OLD.content) END;
    END""",
    "CREATE INDEX items_by_round ON items (round)",
    """CREATE TABLE embeddings (
        item_id BLOB NOT NULL CHECK (length(item_id) = 32),
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        position INTEGER NOT NULL,
        space_epoch INTEGER NOT NULL,
        vector BLOB NOT NULL CHECK (length(vector) = 4096),
        PRIMARY KEY (item_id, round, shard),
        UNIQUE (round, shard, position),
        FOREIGN KEY (round, shard) REFERENCES rounds (round, shard)
    )""",
    """CREATE TABLE evidence (
        digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
        offender BLOB NOT NULL CHECK (length(offender) = 32),
        kind TEXT NOT NULL,
        envelope BLOB NOT NULL,
        received_ms INTEGER NOT NULL
    )""",
    "CREATE INDEX evidence_by_offender ON evidence (offender)",
    """CREATE TABLE disputes (
        digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        disputer BLOB NOT NULL CHECK (length(disputer) = 32),
        envelope BLOB NOT NULL,
        received_ms INTEGER NOT NULL
    )""",
    "CREATE INDEX disputes_by_round ON disputes (round, shard)",
    """CREATE TABLE peers (
        public_key BLOB PRIMARY KEY CHECK (length(public_key) = 32),
        addresses TEXT NOT NULL,
        last_seen_ms INTEGER NOT NULL,
        penalty REAL NOT NULL,
        banned_until_ms INTEGER NOT NULL
    )""",
    "CREATE INDEX peers_by_age ON peers (last_seen_ms)",
    # Which blob on disk is kept for which round: retention follows these rows, never the folder.
    """CREATE TABLE blob_uses (
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        round INTEGER NOT NULL,
        purpose TEXT NOT NULL CHECK (purpose IN ('views', 'reveal', 'report')),
        PRIMARY KEY (digest, round, purpose)
    )""",
    "CREATE INDEX blob_uses_by_round ON blob_uses (round)",
)

_EPOCHS = (
    """CREATE TABLE epochs (
        epoch INTEGER PRIMARY KEY CHECK (epoch > 0),
        record BLOB NOT NULL,
        certificate BLOB NOT NULL,
        encoders BLOB NOT NULL
    )""",
    # What a certified round says in integers: the next records are computed from it.
    "ALTER TABLE rounds ADD COLUMN outcome BLOB",
    # SQLite cannot change a CHECK: one more purpose needs a new table.
    """CREATE TABLE new_blob_uses (
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        round INTEGER NOT NULL,
        purpose TEXT NOT NULL CHECK (purpose IN ('views', 'reveal', 'report', 'inputs')),
        PRIMARY KEY (digest, round, purpose)
    )""",
    "INSERT INTO new_blob_uses SELECT digest, round, purpose FROM blob_uses",
    "DROP TABLE blob_uses",
    "ALTER TABLE new_blob_uses RENAME TO blob_uses",
    "CREATE INDEX blob_uses_by_round ON blob_uses (round)",
)

_LEARNT = (
    # Purposes are the code's to say: a CHECK would have to be rebuilt with each that is added.
    """CREATE TABLE new_blob_uses (
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        round INTEGER NOT NULL,
        purpose TEXT NOT NULL,
        PRIMARY KEY (digest, round, purpose)
    )""",
    "INSERT INTO new_blob_uses SELECT digest, round, purpose FROM blob_uses",
    "DROP TABLE blob_uses",
    "ALTER TABLE new_blob_uses RENAME TO blob_uses",
    "CREATE INDEX blob_uses_by_round ON blob_uses (round)",
)

# Readers know a certified round by the digest of its report.
_REPORTS = ("CREATE INDEX rounds_by_report ON rounds (report_digest) WHERE report_digest IS NOT NULL",)

# Clients take turns in the queue (`node/store/lines.py`). One has a row while it has items there, and none of
# what came of them tells whose they were.
_TURNS = (
    """CREATE TABLE clients (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        items INTEGER NOT NULL DEFAULT 0,
        size_bytes INTEGER NOT NULL DEFAULT 0
    )""",
    "ALTER TABLE items ADD COLUMN client INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE items ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
    # The last turn of which an item was served when no earlier one waited.
    "ALTER TABLE queue ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",
    # State is in both, or SQLite takes `items_by_state` and looks at the whole queue.
    """CREATE INDEX items_in_turn ON items (state, turn, client, submitted_ms, item_id)
    WHERE state = 'pending'""",
    "CREATE INDEX items_of_client ON items (state, client, turn) WHERE state = 'pending'",
    """CREATE TRIGGER client_queued AFTER INSERT ON items WHEN NEW.state = 'pending' BEGIN
        UPDATE clients SET items = items + 1, size_bytes = size_bytes + length(NEW.content)
        WHERE id = NEW.client;
    END""",
    """CREATE TRIGGER client_moved AFTER UPDATE ON items
    WHEN (OLD.state = 'pending' OR NEW.state = 'pending')
        AND (OLD.state != NEW.state OR OLD.client != NEW.client) BEGIN
        UPDATE clients SET items = items + 1, size_bytes = size_bytes + length(NEW.content)
        WHERE id = NEW.client AND NEW.state = 'pending';
        UPDATE clients SET items = items - 1, size_bytes = size_bytes - length(OLD.content)
        WHERE id = OLD.client AND OLD.state = 'pending';
        DELETE FROM clients WHERE id = OLD.client AND items = 0;
    END""",
    """CREATE TRIGGER turn_served AFTER UPDATE ON items
    WHEN OLD.state = 'pending' AND NEW.state != 'pending' BEGIN
        UPDATE queue SET turn = OLD.turn WHERE turn < OLD.turn
        AND NOT EXISTS (SELECT 1 FROM items WHERE state = 'pending' AND turn < OLD.turn);
    END""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_INITIAL, _EPOCHS, _LEARNT, _REPORTS, _TURNS)
"""Step i takes a database of version i to version i + 1; `user_version` holds the version."""
