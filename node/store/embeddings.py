"""Certified consensus embeddings, raw: shaping is applied on read, elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass

from node.store.database import Database, in_batches

VECTOR_BYTES = 4_096
"""1024 float32, little endian."""

PAGE_ROWS = 256
"""Rows the iterator holds at a time: 1 MiB of vectors."""


@dataclass(frozen=True, slots=True)
class EmbeddingRecord:
    """One item's consensus embedding, at `position` of its shard's batch; `vector` is 4,096 bytes `<f4`."""

    item_id: bytes
    round: int
    shard: int
    position: int
    space_epoch: int
    vector: bytes


@dataclass(frozen=True, slots=True)
class CertifiedEmbedding:
    """An item's consensus embedding, and the digest of the certified report that binds it."""

    embedding: EmbeddingRecord
    report: bytes


_COLUMNS = "item_id, round, shard, position, space_epoch, vector"


class Embeddings(Database):
    """One row an item, shard and round, kept as long as the database has room."""

    def record_embeddings(self, records: Iterable[EmbeddingRecord]) -> None:
        """Keep a batch, all or nothing; recording it again replaces it. The round comes first."""
        with self._transaction() as database:
            database.executemany(
                f"INSERT OR REPLACE INTO embeddings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
                map(astuple, records),
            )

    def embedding(self, item_id: bytes) -> EmbeddingRecord | None:
        """The newest embedding of an item."""
        row = self._one(
            f"SELECT {_COLUMNS} FROM embeddings WHERE item_id = ? ORDER BY round DESC, shard LIMIT 1",
            (item_id,),
        )
        return None if row is None else EmbeddingRecord(*row)

    def certified_embeddings(self, item_ids: Sequence[bytes]) -> dict[bytes, CertifiedEmbedding]:
        """The newest embedding of each of the items that a round certified whole binds; 4 KiB an item."""
        columns = ", ".join(f"e.{name}" for name in _COLUMNS.split(", "))
        found: dict[bytes, CertifiedEmbedding] = {}
        for marks, batch in in_batches(item_ids):
            rows = self._all(
                f"SELECT {columns}, r.report_digest FROM embeddings e "
                "JOIN rounds r ON r.round = e.round AND r.shard = e.shard AND r.state = 'certified' "
                f"WHERE e.item_id IN ({marks}) ORDER BY e.round, e.shard DESC",
                batch,
            )
            # The newest comes last and stays, as in `embedding`.
            found.update({row[0]: CertifiedEmbedding(EmbeddingRecord(*row[:-1]), row[-1]) for row in rows})
        return found

    def bound_embeddings(self, item_ids: Sequence[bytes]) -> dict[bytes, bool]:
        """Of the items that have an embedding: whether a round certified whole binds one of them."""
        found: dict[bytes, bool] = {}
        for marks, batch in in_batches(item_ids):
            rows = self._all(
                "SELECT e.item_id, max(r.state = 'certified') FROM embeddings e "
                "JOIN rounds r ON r.round = e.round AND r.shard = e.shard "
                f"WHERE e.item_id IN ({marks}) GROUP BY e.item_id",
                batch,
            )
            found.update({item_id: bool(bound) for item_id, bound in rows})
        return found

    def embeddings(self, from_round: int = 0, to_round: int | None = None) -> Iterator[EmbeddingRecord]:
        """All embeddings of rounds [from_round, to_round), by round, shard and position, a page at a time.

        The lock is free between pages: what is recorded meanwhile may or may not be seen.
        """
        place = (from_round, -1, -1)
        while True:
            rows = self._all(
                f"SELECT {_COLUMNS} FROM embeddings WHERE (round, shard, position) > (?, ?, ?) "
                "AND (?4 IS NULL OR round < ?4) ORDER BY round, shard, position LIMIT ?5",
                (*place, to_round, PAGE_ROWS),
            )
            for row in rows:
                yield EmbeddingRecord(*row)
            if len(rows) < PAGE_ROWS:
                return
            place = (rows[-1][1], rows[-1][2], rows[-1][3])

    def embedding_rounds(self, from_round: int = 0, to_round: int | None = None) -> list[tuple[int, int]]:
        """The rounds [from_round, to_round) that have embeddings of certified shards, and how many each.

        A round is recorded certified after its embeddings: who looked between would take it for done.
        """
        rows = self._all(
            "SELECT r.round, count(*) FROM rounds r "
            "JOIN embeddings e ON e.round = r.round AND e.shard = r.shard "
            "WHERE r.state = 'certified' AND r.round >= ?1 AND (?2 IS NULL OR r.round < ?2) "
            "GROUP BY r.round ORDER BY r.round",
            (from_round, to_round),
        )
        return [(round_, count) for round_, count in rows]

    def embedding_count(self) -> int:
        """How many embeddings are stored."""
        return int(self._all("SELECT count(*) FROM embeddings")[0][0])
