"""What readers of the network ask for: by digest, or a bounded page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from node.store.database import Database, in_batches
from node.store.errors import from_sqlite
from node.store.findings import DisputeRecord, EvidenceRecord
from node.store.rounds import RoundState
from node.store.scores import ScoreAverage, ScoreRecord, score_record

_ROWID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RoundHead:
    """One shard of one round without what is large; `embeddings` counts those that are stored."""

    round: int
    shard: int
    epoch: int
    state: RoundState
    dealer: bytes | None
    report_digest: bytes | None
    header: bytes | None
    updated_ms: int
    embeddings: int


class Lookups(Database):
    """Reads over the tables of others. Every answer is bounded by its arguments."""

    def version(self) -> int | None:
        """A number that changes with what other connections write; None while another thread is at it."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            # Asked with every request: `translated` would take longer than the question.
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise from_sqlite(error, self._path) from error
        finally:
            self._lock.release()

    def round_heads(self, limit: int, before: int | None = None) -> list[RoundHead]:
        """All shards of the `limit` newest rounds (below `before`), newest first."""
        rows = self._all(
            "SELECT round, shard, epoch, state, dealer, report_digest, header, updated_ms, "
            "(SELECT count(*) FROM embeddings AS e WHERE e.round = r.round AND e.shard = r.shard) "
            "FROM rounds AS r WHERE round IN (SELECT DISTINCT round FROM rounds "
            "WHERE ?2 IS NULL OR round < ?2 ORDER BY round DESC LIMIT ?1) ORDER BY round DESC, shard",
            (limit, before),
        )
        return [RoundHead(row[0], row[1], row[2], RoundState(row[3]), *row[4:]) for row in rows]

    def place_of_report(self, digest: bytes) -> tuple[int, int] | None:
        """(round, shard) of the report with this digest; None where no such report is recorded."""
        row = self._one(
            "SELECT round, shard FROM rounds WHERE report_digest = ? ORDER BY round, shard LIMIT 1", (digest,)
        )
        return None if row is None else (row[0], row[1])

    def scored_since(self, last_rounds: int) -> int:
        """The oldest of the `last_rounds` newest scored rounds; 0 where there are fewer."""
        row = self._one(
            "SELECT DISTINCT round FROM scores ORDER BY round DESC LIMIT 1 OFFSET ?", (last_rounds - 1,)
        )
        return 0 if row is None else int(row[0])

    def averages_of(self, encoders: Sequence[bytes], from_round: int) -> dict[bytes, ScoreAverage]:
        """Averages over the shards from `from_round` on in which these encoders were scored."""
        found: dict[bytes, ScoreAverage] = {}
        for marks, batch in in_batches(encoders):
            rows = self._all(
                f"SELECT encoder, avg(score), avg(weight), count(*) FROM scores WHERE encoder IN ({marks}) "
                "AND round >= ? GROUP BY encoder",
                [*batch, from_round],
            )
            found |= {row[0]: ScoreAverage(*row) for row in rows}
        return found

    def newest_scores_of(self, encoders: Sequence[bytes]) -> dict[bytes, ScoreRecord]:
        """The newest score of each of these encoders, however old; those never scored are left out."""
        found: dict[bytes, ScoreRecord] = {}
        for encoder in encoders:
            row = self._one(
                "SELECT round, shard, encoder, score, weight, terms FROM scores WHERE encoder = ? "
                "ORDER BY round DESC LIMIT 1",
                (encoder,),
            )
            if row is not None:
                found[encoder] = score_record(*row)
        return found

    def registration_of(self, encoder: bytes, first_rounds: Sequence[int]) -> bytes | None:
        """The envelope of an encoder's registration made in an epoch that began with one of these rounds."""
        for round_ in first_rounds:
            row = self._one(
                "SELECT envelope FROM statements WHERE round = ? AND kind = 'registration' AND signer = ?",
                (round_, encoder),
            )
            if row is not None:
                return bytes(row[0])
        return None

    def newest_disputes(
        self, limit: int, before: int | None = None, round: int | None = None
    ) -> list[tuple[int, DisputeRecord]]:
        """Disputes of one round or all, numbered in order of arrival (below `before`), newest first."""
        rows = self._all(
            "SELECT rowid, digest, round, shard, disputer, envelope, received_ms FROM disputes "
            f"WHERE rowid < ? {_only('round', round)}ORDER BY rowid DESC LIMIT ?",
            [_ROWID_MAX if before is None else before, *_given(round), limit],
        )
        return [(row[0], DisputeRecord(*row[1:])) for row in rows]

    def newest_evidence(
        self, limit: int, before: int | None = None, offender: bytes | None = None
    ) -> list[tuple[int, EvidenceRecord]]:
        """Evidence with its number in the order of arrival (below `before`), newest first."""
        rows = self._all(
            "SELECT rowid, digest, offender, kind, envelope, received_ms FROM evidence "
            f"WHERE rowid < ? {_only('offender', offender)}ORDER BY rowid DESC LIMIT ?",
            [_ROWID_MAX if before is None else before, *_given(offender), limit],
        )
        return [(row[0], EvidenceRecord(*row[1:])) for row in rows]


def _only(column: str, value: object) -> str:
    # Not `? IS NULL OR column = ?`: for that SQLite would go through the whole table.
    return "" if value is None else f"AND {column} = ? "


def _given(value: object) -> list[object]:
    return [] if value is None else [value]
