"""The records of the epochs, each with the certificate it stands by."""

from __future__ import annotations

from dataclasses import dataclass

from node.store.database import Database
from node.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch; `record` and `certificate` in canonical encoding."""

    epoch: int
    record: bytes
    certificate: bytes


class EpochRows(Database):
    """One row an epoch, from 1 on without a gap: the chain goes back to genesis."""

    def put_epoch(self, row: EpochRow, encoders: bytes) -> None:
        """Keep the next epoch; one that is there is left as it is. Raises StoreError when one is missing."""
        with self._transaction() as database:
            newest = database.execute("SELECT max(epoch) FROM epochs").fetchone()[0] or 0
            if row.epoch > newest + 1:
                raise StoreError(
                    f"epoch {row.epoch} cannot follow epoch {newest}: those between are missing; "
                    "let the node catch up"
                )
            database.execute(
                "INSERT OR IGNORE INTO epochs VALUES (?, ?, ?, ?)",
                (row.epoch, row.record, row.certificate, encoders),
            )

    def epoch_rows(self, first: int, limit: int) -> list[EpochRow]:
        """Up to `limit` epochs from `first` on, in order."""
        rows = self._all(
            "SELECT epoch, record, certificate FROM epochs WHERE epoch >= ? ORDER BY epoch LIMIT ?",
            (first, limit),
        )
        return [EpochRow(*row) for row in rows]

    def newest_epoch(self) -> int:
        """Number of the newest epoch kept; 0 where only genesis is known."""
        row = self._one("SELECT max(epoch) FROM epochs")
        return 0 if row is None else int(row[0] or 0)

    def encoders_of(self, epoch: int) -> bytes | None:
        """The canonical encoders' table of an epoch."""
        row = self._one("SELECT encoders FROM epochs WHERE epoch = ?", (epoch,))
        return None if row is None else bytes(row[0])
