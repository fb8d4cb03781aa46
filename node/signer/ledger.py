"""The votes of one key, in a database of its own: written to the disk before any signature leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from node.signer.errors import EquivocationRefused, SignerCorrupted, SignerError, TooEarly, TooManyVotes
from node.signer.files import create_private
from node.signer.slot import VoteSlot
from node.signer.watermark import Mark

ROUNDS_KEPT = 1_024
"""Votes older than this below the highest round are dropped, and their rounds refused for good."""

VOTES_PER_ROUND_MAX = 4_096
"""So the database holds at most 1,024 x 4,096 votes of about 200 bytes; a real round takes a handful."""

_APPLICATION_ID = 0x646D7367  # `dmsg`

_BUSY_TIMEOUT_S = 5.0

_INITIAL = (
    """CREATE TABLE votes (
        kind TEXT NOT NULL,
        round INTEGER NOT NULL,
        shard INTEGER NOT NULL,
        wave INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        digest BLOB NOT NULL CHECK (length(digest) = 32),
        vote INTEGER NOT NULL UNIQUE,
        chain BLOB NOT NULL CHECK (length(chain) = 32),
        PRIMARY KEY (kind, round, shard, wave)
    )""",
    "CREATE INDEX votes_by_round ON votes (round)",
    """CREATE TABLE mark (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        owner BLOB NOT NULL,
        votes INTEGER NOT NULL,
        chain BLOB NOT NULL,
        closed_round INTEGER NOT NULL
    )""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_INITIAL,)
"""Step i takes a database of version i to version i + 1. A step is never edited once released."""


class VoteLedger:
    """The database and its mark. Not thread-safe: the signer serialises.

    Rounds are counted from genesis, so a slot is found without its epoch: a second epoch for the same round
    is a second vote, and refused.
    """

    def __init__(self, path: Path, owner: bytes) -> None:
        """Open or create. Raises `SignerError`, `SignerCorrupted`."""
        self._path = path
        self._owner = owner
        create_private(path)
        status = path.stat()
        self._file = (status.st_dev, status.st_ino)
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_S
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            # One file, so that a copy of it is a whole copy; EXTRA also syncs the folder when the journal
            # goes, without which a power cut could take back the last vote.
            self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.execute("PRAGMA synchronous = EXTRA")
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._create()
            self.mark = self._load()
        except sqlite3.Error as error:
            self._connection.close()
            raise self._unusable(error) from error
        except BaseException:
            self._connection.close()
            raise

    @property
    def pristine(self) -> bool:
        """Whether no signer was ever opened on this database."""
        return self.mark.votes == 0 and self.mark.closed_round < 0

    @property
    def kept_from(self) -> int:
        """The first round whose votes are all here, as far as this history goes; older ones were let go."""
        return self.mark.closed_round - ROUNDS_KEPT + 1

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def contains(self, mark: Mark) -> bool:
        """Whether every vote the mark has seen is in this history, and no other in its place."""
        # The chain of an empty history is the owner itself.
        if mark.votes in (0, self.mark.votes):
            return mark.chain == (self.mark.chain if mark.votes else self._owner)
        with self._transaction():
            row = self._connection.execute("SELECT chain FROM votes WHERE vote = ?", (mark.votes,)).fetchone()
        return row is not None and row[0] == mark.chain

    def restart(self, mark: Mark) -> None:
        """Take over a mark whose votes are not all known: none of the stored ones is trusted any longer."""
        with self._transaction():
            self._connection.execute("DELETE FROM votes")
            self._save(mark)
        self.mark = mark

    def close_rounds(self, closed_round: int) -> None:
        """Remember that no later process casts a new vote up to this round."""
        mark = replace(self.mark, closed_round=max(closed_round, self.mark.closed_round))
        with self._transaction():
            self._save(mark)
        self.mark = mark

    def vote(self, slot: VoteSlot, digest: bytes, first_round: int, recorded: Callable[[], None]) -> None:
        """Commit a vote to the disk, unless it is there already; `recorded` is called before the commit.

        Raises `EquivocationRefused`, `TooEarly`, `SignerError`.
        """
        with self._transaction():
            if self._load() != self.mark or self._moved():
                raise SignerCorrupted(
                    f"{self._path} was replaced while the signer ran: "
                    "start the node again, so that it checks what it may still sign"
                )
            row = self._connection.execute(
                "SELECT digest, epoch FROM votes WHERE (kind, round, shard, wave) = (?, ?, ?, ?)",
                (slot.kind, slot.round, slot.shard, slot.wave),
            ).fetchone()
            if row is not None:
                if row != (digest, slot.epoch):
                    raise EquivocationRefused(
                        f"the {slot} is already signed as {row[0].hex()[:16]}, "
                        f"{digest.hex()[:16]} is refused: "
                        "one statement a slot; report this as a bug, a role asked for two"
                    )
                return
            first_round = max(first_round, self.kept_from)
            if slot.round < first_round:
                raise TooEarly(slot.round, first_round)
            mark = self._insert(slot, digest)
            recorded()
        self.mark = mark

    def has(self, slot: VoteSlot, digest: bytes) -> bool:
        """Whether this very vote is here. Raises `SignerError`."""
        try:
            row = self._connection.execute(
                "SELECT 1 FROM votes WHERE (kind, round, shard, wave, epoch, digest) = (?, ?, ?, ?, ?, ?)",
                (slot.kind, slot.round, slot.shard, slot.wave, slot.epoch, digest),
            ).fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return row is not None

    def _insert(self, slot: VoteSlot, digest: bytes) -> Mark:
        held = self._connection.execute(
            "SELECT count(*) FROM votes WHERE round = ?", (slot.round,)
        ).fetchone()[0]
        if held >= VOTES_PER_ROUND_MAX:
            raise TooManyVotes(
                f"{held} votes in round {slot.round} already, the bound is {VOTES_PER_ROUND_MAX}: "
                "wait for the next round"
            )
        mark = Mark(
            self.mark.votes + 1,
            slot.link(self.mark.chain, digest),
            max(slot.round, self.mark.closed_round),
        )
        self._connection.execute(
            "INSERT INTO votes (kind, round, shard, wave, epoch, digest, vote, chain) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (slot.kind, slot.round, slot.shard, slot.wave, slot.epoch, digest, mark.votes, mark.chain),
        )
        if mark.closed_round > self.mark.closed_round:
            self._connection.execute("DELETE FROM votes WHERE round <= ?", (mark.closed_round - ROUNDS_KEPT,))
        self._save(mark)
        return mark

    def _create(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        application = self._connection.execute("PRAGMA application_id").fetchone()[0]
        if (application, version) == (_APPLICATION_ID, len(MIGRATIONS)):
            if self._connection.execute("PRAGMA quick_check").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check failed")
            return
        tables = self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application != _APPLICATION_ID and (tables or version or application):
            raise SignerCorrupted(
                f"{self._path} is not a signer's database but another program's: give this node a data "
                "directory of its own"
            )
        if version > len(MIGRATIONS):
            raise SignerError(
                f"{self._path} has version {version} and this software knows up to {len(MIGRATIONS)}: "
                "install the newer software again; never put an older copy of this file in its place"
            )
        # No copy is kept, as of other databases: one put back later would have forgotten votes. All steps
        # are one transaction instead.
        with self._transaction():
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    self._connection.execute(statement)
            if version == 0:
                self._connection.execute(
                    "INSERT INTO mark VALUES (1, ?, 0, ?, -1)", (self._owner, self._owner)
                )
            self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")

    def _load(self) -> Mark:
        owner, votes, chain, closed_round = self._connection.execute(
            "SELECT owner, votes, chain, closed_round FROM mark"
        ).fetchone()
        if owner != self._owner:
            raise SignerCorrupted(
                f"{self._path} belongs to another key or network: "
                "put back the one that belongs here, or give this node a data directory of its own"
            )
        return Mark(votes, chain, closed_round)

    def _save(self, mark: Mark) -> None:
        self._connection.execute(
            "UPDATE mark SET votes = ?, chain = ?, closed_round = ?",
            (mark.votes, mark.chain, mark.closed_round),
        )

    def _moved(self) -> bool:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._file

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> SignerError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return SignerCorrupted(
                f"{self._path} is damaged ({error}): move it away, leave its watermark, and start again; "
                "the signer then waits until no earlier vote can be contradicted"
            )
        return SignerError(
            f"cannot record a vote in {self._path} ({error}): "
            "check the disk's space and the file's permissions, then start again"
        )
