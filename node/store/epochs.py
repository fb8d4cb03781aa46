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
    """One row an epoch, from 1 on without a gap: the chain goes back to genesis.

    Encoders' tables are kept of late epochs only; in the place of others there is nothing.
    """

    def put_epoch(self, row: EpochRow, encoders: bytes = b"") -> None:
        """Keep the next epoch, with its canonical encoders' table or without.

        One that is there is left as it is, but for a table it lacks. Raises StoreError when an epoch between
        is missing.
        """
        with self._transaction() as database:
            newest = database.execute("SELECT max(epoch) FROM epochs").fetchone()[0] or 0
            if row.epoch > newest + 1:
                raise StoreError(
                    f"epoch {row.epoch} cannot follow epoch {newest}: those between are missing; "
                    "let the node catch up"
                )
            database.execute(
                "INSERT INTO epochs VALUES (?, ?, ?, ?) ON CONFLICT (epoch) "
                "DO UPDATE SET encoders = excluded.encoders WHERE length(epochs.encoders) = 0",
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
        """Number of the newest epoch whose encoders are kept; 0 where only genesis is known."""
        row = self._one("SELECT max(epoch) FROM epochs WHERE length(encoders) > 0")
        return 0 if row is None else int(row[0] or 0)

    def encoders_of(self, epoch: int) -> bytes | None:
        """The canonical encoders' table of an epoch, where it is kept."""
        row = self._one("SELECT encoders FROM epochs WHERE epoch = ? AND length(encoders) > 0", (epoch,))
        return None if row is None else bytes(row[0])

    def encoders_kept_from(self) -> int | None:
        """The oldest epoch after genesis whose encoders are kept."""
        row = self._one("SELECT min(epoch) FROM epochs WHERE length(encoders) > 0")
        return None if row is None or row[0] is None else int(row[0])

    def prune_epochs(self, before_epoch: int, epoch_rounds: int) -> int:
        """Drop the encoders' tables of epochs below `before_epoch`, and the outcomes of their rounds.

        Returns how many tables went. Records and certificates stay.
        """
        with self._transaction() as database:
            (first,) = database.execute(
                "SELECT min(epoch) FROM epochs WHERE length(encoders) > 0 AND epoch < ?", (before_epoch,)
            ).fetchone()
            if first is None:
                return 0
            dropped = database.execute(
                "UPDATE epochs SET encoders = x'' WHERE epoch >= ? AND epoch < ?", (first, before_epoch)
            ).rowcount
            database.execute(
                "UPDATE rounds SET outcome = NULL WHERE round >= ? AND round < ? AND outcome IS NOT NULL",
                ((first - 1) * epoch_rounds, before_epoch * epoch_rounds),
            )
            return dropped
