"""How much there is of what is never deleted, without counting it: for metrics, read every few seconds."""

from __future__ import annotations

from node.store.database import Database


class Totals(Database):
    """Each answer is one step into an index, however large the table."""

    def disputes_recorded(self) -> int:
        """How many disputes were ever written down."""
        return self._last_row("disputes")

    def embeddings_recorded(self) -> int:
        """How many embeddings were ever written down; one that is written again counts again."""
        return self._last_row("embeddings")

    def evidence_after(self, row: int) -> tuple[int, dict[str, int]]:
        """The number of the last piece of evidence, and of those after `row` how many are of which kind."""
        last = self._last_row("evidence")
        kinds = self._all(
            "SELECT kind, count(*) FROM evidence WHERE rowid > ? AND rowid <= ? GROUP BY kind", (row, last)
        )
        return last, dict(kinds)

    def attesters(self, round: int, shard: int) -> frozenset[bytes]:
        """Who said that they attest a report of a shard-round, while its statements are kept."""
        rows = self._all(
            "SELECT signer FROM statements WHERE round = ? AND kind = 'attestation' AND shard = ?",
            (round, shard),
        )
        return frozenset(row[0] for row in rows)

    def queue_length(self) -> int:
        """How many items wait to be dealt."""
        return int(self._all("SELECT items FROM queue")[0][0])

    def _last_row(self, table: str) -> int:
        return int(self._all(f"SELECT coalesce(max(rowid), 0) FROM {table}")[0][0])
