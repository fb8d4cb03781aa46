"""Signed statements of the rounds: what was said, by whom, as it travelled."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from node.store.database import Database, Put

KEPT_KINDS = ("report", "certificate")
"""Statements that outlive the retention of their round."""


@dataclass(frozen=True, slots=True)
class StatementRecord:
    """One signed statement. `digest` [32] is what the signature covers, `signer` [32] the public key."""

    digest: bytes
    epoch: int
    round: int
    shard: int
    kind: str
    signer: bytes
    envelope: bytes
    received_ms: int


_COLUMNS = "digest, epoch, round, shard, kind, signer, envelope, received_ms"


class Statements(Database):
    """At most `statements_per_round_max` a round; old rounds are pruned to reports and certificates."""

    def put_statement(self, statement: StatementRecord) -> Put:
        """Keep a statement; the same digest a second time changes nothing."""
        self._check_envelope(statement.envelope)
        with self._transaction() as database:
            if database.execute("SELECT 1 FROM statements WHERE digest = ?", (statement.digest,)).fetchone():
                return Put.KNOWN
            held = database.execute(
                "SELECT count(*) FROM statements WHERE round = ?", (statement.round,)
            ).fetchone()[0]
            if held >= self._limits.statements_per_round_max:
                return Put.FULL
            database.execute(
                f"INSERT INTO statements ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", astuple(statement)
            )
            return Put.NEW

    def statement(self, digest: bytes) -> StatementRecord | None:
        """The statement with this digest."""
        row = self._one(f"SELECT {_COLUMNS} FROM statements WHERE digest = ?", (digest,))
        return None if row is None else StatementRecord(*row)

    def statements(self, round: int, kind: str | None = None) -> list[StatementRecord]:
        """The statements of a round, of one kind or of all, in order of arrival."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM statements WHERE round = ?1 AND (?2 IS NULL OR kind = ?2) "
            "ORDER BY received_ms, digest",
            (round, kind),
        )
        return [StatementRecord(*row) for row in rows]
