"""The node's memory: one SQLite database and one folder of blobs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from node.store.blobs import DiskBlobs
from node.store.database import Access, connect, in_batches
from node.store.embeddings import Embeddings
from node.store.epochs import EpochRows
from node.store.findings import Findings
from node.store.items import Items
from node.store.limits import StoreLimits
from node.store.lookups import Lookups
from node.store.peers import Peers
from node.store.rounds import Rounds
from node.store.scores import Scores
from node.store.statements import KEPT_KINDS, Statements
from node.store.steps import Steps
from node.store.totals import Totals
from protocol.hashing import content_digest
from protocol.rounds.effects import Purpose


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the retention of rounds removed."""

    statements: int
    blobs: int


class Store(
    Statements, Rounds, Steps, Scores, Items, Embeddings, Findings, Peers, EpochRows, Lookups, Totals
):
    """All that a node remembers, but its votes (`node.signer`) and its key.

    Every method may be called from any thread: one lock serialises them. Single rows take well under a
    millisecond and may be called from the event loop; `record_embeddings`, `embeddings`, `prune_rounds`,
    `put_blob`, `blobs` and `open` touch megabytes or fsync, and belong in `trio.to_thread.run_sync`.
    Each write is one transaction: on `StoreError` nothing of it is stored, and the store stays usable.
    One process writes; others may open it `READ_ONLY` meanwhile.
    """

    blobs: DiskBlobs
    _is_swept = False

    @classmethod
    def open(
        cls,
        path: Path,
        blobs_dir: Path,
        *,
        access: Access = Access.READ_WRITE,
        limits: StoreLimits | None = None,
    ) -> Self:
        """Open or create the database and the folder of blobs, migrating an older schema.

        Raises `StoreError` where the file is damaged, of another program, of newer software or not usable.
        """
        bounds = limits or StoreLimits()
        store = cls(path, connect(path, access, bounds), bounds)
        try:
            store.blobs = DiskBlobs(blobs_dir, bounds.blobs_bytes_max, access)
        except BaseException:
            store.close()
            raise
        return store

    def put_blob(self, data: bytes, round: int, purpose: Purpose) -> bytes:
        """Keep a blob for as long as its purpose needs; return its digest. Raises `BlobStoreFull`."""
        # The use comes first: a pruning in between must not take the blob for an orphan.
        self.use_blob(content_digest(data), round, purpose)
        return self.blobs.put(data)

    def use_blob(self, digest: bytes, round: int, purpose: Purpose) -> None:
        """Keep a blob that is there or about to come; one without a use goes when the node starts again."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO blob_uses VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (digest, round, purpose.value),
            )

    def kept_blobs(self) -> set[bytes]:
        """The digests of all blobs some round is kept for."""
        return {row[0] for row in self._all("SELECT DISTINCT digest FROM blob_uses")}

    def prune_rounds(self, before_round: int, learnt_before_round: int = 0) -> Pruned:
        """Of rounds below `before_round` keep reports, certificates, scores and embeddings; drop the rest.

        What epochs have learnt goes with those that began before `learnt_before_round`. The first call also
        drops blobs no round is kept for, which a crash has left behind; later ones touch only what goes, or
        each would go through every report there is.
        """
        marks = ",".join("?" * len(KEPT_KINDS))
        with self._lock:
            with self._transaction() as database:
                statements = database.execute(
                    f"DELETE FROM statements WHERE round < ? AND kind NOT IN ({marks})",
                    (before_round, *KEPT_KINDS),
                ).rowcount
                database.execute("DELETE FROM steps WHERE round < ?", (before_round,))
                unused = {
                    row[0]
                    for row in database.execute(
                        "DELETE FROM blob_uses WHERE (round < ?1 AND purpose NOT IN (?3, ?4)) "
                        "OR (round < ?2 AND purpose = ?4) RETURNING digest",
                        (before_round, learnt_before_round, Purpose.REPORT.value, Purpose.LEARNT.value),
                    )
                }
            if not self._is_swept:
                removed = self.blobs.prune(self.kept_blobs())
                self._is_swept = True
                return Pruned(statements, removed)
            return Pruned(statements, self.blobs.forget_all(unused - self._used_of(unused)))

    def _used_of(self, digests: set[bytes]) -> set[bytes]:
        """Those of the blobs that some round is kept for."""
        used: set[bytes] = set()
        for marks, batch in in_batches(sorted(digests)):
            used.update(
                row[0]
                for row in self._all(
                    f"SELECT DISTINCT digest FROM blob_uses WHERE digest IN ({marks})", batch
                )
            )
        return used
