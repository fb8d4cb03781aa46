"""Peers met before: where to dial them, and what they are charged with."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.store.database import Database
from node.store.errors import StoreError


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """One peer by its public key [32]; `banned_until_ms` is 0 for a peer that was never banned."""

    public_key: bytes
    addresses: tuple[str, ...]
    last_seen_ms: int
    penalty: float
    banned_until_ms: int


_COLUMNS = "public_key, addresses, last_seen_ms, penalty, banned_until_ms"


class Peers(Database):
    """At most `peers_max`: a new peer displaces the unpunished one unseen longest, then the mildest case."""

    def record_peer(self, public_key: bytes, addresses: Sequence[str], last_seen_ms: int) -> None:
        """Remember where a peer was seen; its penalty and ban stay. Raises `StoreError` over the bounds."""
        limits = self._limits
        if len(addresses) > limits.addresses_per_peer_max or any(
            len(address) > limits.address_length_max for address in addresses
        ):
            raise StoreError(
                f"a peer has {len(addresses)} addresses or one too long; the bounds are "
                f"{limits.addresses_per_peer_max} of {limits.address_length_max} characters: drop the rest"
            )
        with self._transaction() as database:
            self._make_room(database, public_key)
            database.execute(
                f"INSERT INTO peers ({_COLUMNS}) VALUES (?, ?, ?, 0, 0) ON CONFLICT (public_key) DO UPDATE "
                "SET addresses = excluded.addresses, last_seen_ms = max(last_seen_ms, excluded.last_seen_ms)",
                (public_key, json.dumps(list(addresses)), last_seen_ms),
            )

    def record_penalty(self, public_key: bytes, penalty: float, banned_until_ms: int) -> None:
        """Set what a peer is charged with; it need not have been seen."""
        with self._transaction() as database:
            self._make_room(database, public_key)
            database.execute(
                f"INSERT INTO peers ({_COLUMNS}) VALUES (?, '[]', 0, ?, ?) ON CONFLICT (public_key) "
                "DO UPDATE SET penalty = excluded.penalty, banned_until_ms = excluded.banned_until_ms",
                (public_key, penalty, banned_until_ms),
            )

    def peer(self, public_key: bytes) -> PeerRecord | None:
        """One peer."""
        row = self._one(f"SELECT {_COLUMNS} FROM peers WHERE public_key = ?", (public_key,))
        return None if row is None else _record(row)

    def peers(self, limit: int) -> list[PeerRecord]:
        """The peers seen last, banned ones included."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM peers ORDER BY last_seen_ms DESC, public_key LIMIT ?", (limit,)
        )
        return [_record(row) for row in rows]

    def banned_peers(self, now_ms: int) -> list[PeerRecord]:
        """The peers whose ban has not run out."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM peers WHERE banned_until_ms > ? ORDER BY public_key", (now_ms,)
        )
        return [_record(row) for row in rows]

    def _make_room(self, database: sqlite3.Connection, public_key: bytes) -> None:
        if database.execute("SELECT 1 FROM peers WHERE public_key = ?", (public_key,)).fetchone():
            return
        if database.execute("SELECT count(*) FROM peers").fetchone()[0] >= self._limits.peers_max:
            # Fresh identities cost nothing: they must not be able to wash out a ban.
            database.execute(
                "DELETE FROM peers WHERE public_key = (SELECT public_key FROM peers "
                "ORDER BY banned_until_ms, penalty, last_seen_ms, public_key LIMIT 1)"
            )


def _record(row: Any) -> PeerRecord:
    return PeerRecord(row[0], tuple(json.loads(row[1])), *row[2:])
