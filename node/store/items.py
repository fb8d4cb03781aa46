"""Items: the bounded queue of what was submitted, and the memory of what was ever released."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from node.store.database import Database, Put, in_batches
from node.store.errors import QueueFull, StoreError
from node.store.lines import Line, joined, line_of


class ItemState(StrEnum):
    """Where an item stands on its way to a consensus embedding."""

    PENDING = "pending"
    """In the queue; left when a dealer takes it."""
    DEALT = "dealt"
    """In a batch of which no view is out; left by a release, or for the queue if the round is void."""
    RELEASED = "released"
    """Some view is out; left by a certificate, or for the queue (to be served only) if the round is void."""
    CERTIFIED = "certified"
    """Final: its consensus embedding is certified."""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """One item; `content` is None where only the id is known, `released_round` a view's first release."""

    item_id: bytes
    modality: str | None
    content: bytes | None
    state: ItemState
    source: str
    submitted_ms: int
    round: int | None
    released_round: int | None


_COLUMNS = "item_id, modality, content, state, source, submitted_ms, round, released_round"


OPERATOR: Final = "operator"
"""The client that is bounded by the whole queue alone: whoever runs the node."""


class Items(Database):
    """At most `pending_items_max` items and `pending_bytes_max` bytes of them are in the queue.

    Of one client there are no more than `pending_items_per_client_max` and `pending_bytes_per_client_max`.
    """

    def submit_item(
        self,
        item_id: bytes,
        content: bytes,
        *,
        modality: str,
        source: str,
        submitted_ms: int,
        client: str = OPERATOR,
    ) -> Put:
        """Queue an item in the line of a client; submitting it again changes nothing. Raises `QueueFull`.

        One that waits already takes the earlier of the places that its clients have for it: nobody holds
        back what others ask for by asking for it first.
        An id known without content (released by another dealer) gets its content and is queued, to be served;
        so is one that was certified without an embedding, in a round whose encoders had no weight.
        """
        if len(content) > self._limits.item_bytes_max:
            raise StoreError(
                f"an item of {len(content)} bytes is over the bound of {self._limits.item_bytes_max}; "
                "split it and submit the parts"
            )
        with self._transaction() as database:
            row = database.execute(
                "SELECT CASE state WHEN 'certified' THEN EXISTS "
                "(SELECT 1 FROM embeddings e WHERE e.item_id = items.item_id) "
                "ELSE content IS NOT NULL END, state = 'pending', turn FROM items WHERE item_id = ?",
                (item_id,),
            ).fetchone()
            known = row is not None and row[0]
            if known and not row[1]:
                return Put.KNOWN
            line = line_of(database, client)
            if known:
                if line.turn < row[2] and self._has_room(client, line, len(content)):
                    database.execute(
                        "UPDATE items SET client = ?, turn = ? WHERE item_id = ?",
                        (joined(database, client, line), line.turn, item_id),
                    )
                return Put.KNOWN
            count, size_bytes = database.execute("SELECT items, size_bytes FROM queue").fetchone()
            limits = self._limits
            if count >= limits.pending_items_max or size_bytes + len(content) > limits.pending_bytes_max:
                raise QueueFull(
                    f"{count} items ({size_bytes} bytes) are pending, the bound is "
                    f"{limits.pending_items_max} items and {limits.pending_bytes_max} bytes; "
                    "submit again when some rounds have passed"
                )
            if not self._has_room(client, line, len(content)):
                raise QueueFull(
                    f"{line.items} items ({line.size_bytes} bytes) of one client are pending, the bound is "
                    f"{limits.pending_items_per_client_max} items and {limits.pending_bytes_per_client_max} "
                    "bytes; submit again when some rounds have passed"
                )
            database.execute(
                "INSERT INTO items (item_id, modality, content, state, source, submitted_ms, client, turn) "
                "VALUES (?, ?, ?, 'pending', ?, ?, ?, ?) ON CONFLICT (item_id) DO UPDATE SET "
                "modality = excluded.modality, content = excluded.content, state = 'pending', "
                "source = excluded.source, submitted_ms = excluded.submitted_ms, round = NULL, "
                "client = excluded.client, turn = excluded.turn",
                (
                    item_id,
                    modality,
                    content,
                    source,
                    submitted_ms,
                    joined(database, client, line),
                    line.turn,
                ),
            )
            return Put.NEW

    def _has_room(self, client: str, line: Line, size_bytes: int) -> bool:
        limits = self._limits
        return client == OPERATOR or (
            line.items < limits.pending_items_per_client_max
            and line.size_bytes + size_bytes <= limits.pending_bytes_per_client_max
        )

    def item(self, item_id: bytes) -> ItemRecord | None:
        """One item."""
        row = self._one(f"SELECT {_COLUMNS} FROM items WHERE item_id = ?", (item_id,))
        return None if row is None else _record(row)

    def item_states(self, item_ids: Sequence[bytes]) -> dict[bytes, tuple[ItemState, int | None]]:
        """Where those of the items stand that are known, and the round they are or were in."""
        found: dict[bytes, tuple[ItemState, int | None]] = {}
        for marks, batch in in_batches(item_ids):
            rows = self._all(f"SELECT item_id, state, round FROM items WHERE item_id IN ({marks})", batch)
            found.update({item_id: (ItemState(state), round_) for item_id, state, round_ in rows})
        return found

    def pending(self, limit: int) -> list[ItemRecord]:
        """The items of the queue that are next, clients in turn and of each the oldest first.

        One with a `released_round` may be served but never scored.
        """
        rows = self._all(
            f"SELECT {_COLUMNS} FROM items WHERE state = 'pending' "
            "ORDER BY turn, client, submitted_ms, item_id LIMIT ?",
            (limit,),
        )
        return [_record(row) for row in rows]

    def item_counts(self) -> dict[ItemState, int]:
        """How many items stand where."""
        counted = dict(self._all("SELECT state, count(*) FROM items GROUP BY state"))
        return {state: counted.get(state.value, 0) for state in ItemState}

    def mark_dealt(self, item_ids: Sequence[bytes], round: int) -> None:
        """Take pending items out of the queue for a round; others stay as they are."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE items SET state = 'dealt', round = ? WHERE item_id = ? AND state = 'pending'",
                [(round, item_id) for item_id in item_ids],
            )

    def mark_released(self, item_ids: Sequence[bytes], round: int) -> None:
        """Remember that views of these items are out, before the first key leaves. Unknown ids are added."""
        self._mark(item_ids, round, ItemState.RELEASED)

    def mark_certified(self, item_ids: Sequence[bytes], round: int) -> None:
        """Their consensus embeddings are certified, hence released too. Unknown ids are added."""
        self._mark(item_ids, round, ItemState.CERTIFIED)

    def requeue_items(self, round: int) -> int:
        """Put the items of a void round back into the queue, what was released to be served; return how many.

        May exceed the bound of the queue by one batch: these items were already admitted once.
        """
        with self._transaction() as database:
            return database.execute(
                "UPDATE items SET state = 'pending', round = NULL "
                "WHERE round = ? AND state IN ('dealt', 'released') AND content IS NOT NULL",
                (round,),
            ).rowcount

    def requeue_before(self, round: int) -> int:
        """As `requeue_items` for all rounds below `round`, whose end this node may not have seen."""
        with self._transaction() as database:
            return database.execute(
                "UPDATE items SET state = 'pending', round = NULL "
                "WHERE round < ? AND state IN ('dealt', 'released') AND content IS NOT NULL",
                (round,),
            ).rowcount

    def released_among(self, item_ids: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the ids of which a view was ever released: they are never scored again."""
        found: set[bytes] = set()
        for marks, batch in in_batches(item_ids):
            rows = self._all(
                f"SELECT item_id FROM items WHERE released_round IS NOT NULL AND item_id IN ({marks})", batch
            )
            found.update(row[0] for row in rows)
        return frozenset(found)

    def _mark(self, item_ids: Sequence[bytes], round: int, state: ItemState) -> None:
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO items (item_id, state, source, submitted_ms, round, released_round) "
                "VALUES (?1, ?3, '', 0, ?2, ?2) ON CONFLICT (item_id) DO UPDATE SET "
                "round = CASE WHEN state = 'certified' THEN items.round ELSE excluded.round END, "
                "state = CASE WHEN state = 'certified' THEN state ELSE excluded.state END, "
                "released_round = coalesce(released_round, excluded.released_round)",
                [(item_id, round, state.value) for item_id in item_ids],
            )


def _record(row: tuple[bytes, str | None, bytes | None, str, str, int, int | None, int | None]) -> ItemRecord:
    return ItemRecord(row[0], row[1], row[2], ItemState(row[3]), row[4], row[5], row[6], row[7])
