"""What happened in each round, step by step, as this node saw it: for people and for measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from node.store.database import Database
from node.store.errors import StoreError

KEY_BYTES = 32
STEPS_PER_ROUND_MAX = 4096


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one shard-round; `elapsed_ms` is how long it took, `wave` 0 where there is none."""

    round: int
    shard: int
    step: str
    wave: int
    elapsed_ms: int
    answered: tuple[bytes, ...]
    missing: tuple[bytes, ...]
    detail: str
    at_ms: int


_COLUMNS = "round, shard, step, wave, elapsed_ms, answered, missing, detail, at_ms"


class Steps(Database):
    """Kept as long as the statements of their rounds; at most STEPS_PER_ROUND_MAX for one shard-round."""

    def record_step(self, record: StepRecord) -> None:
        """Write one step down. Raises StoreError."""
        row = (
            record.round,
            record.shard,
            record.step,
            record.wave,
            record.elapsed_ms,
            b"".join(record.answered),
            b"".join(record.missing),
            record.detail[:1000],
            record.at_ms,
        )
        with self._transaction() as database:
            (count,) = database.execute(
                "SELECT count(*) FROM steps WHERE round = ? AND shard = ?", (record.round, record.shard)
            ).fetchone()
            if count >= STEPS_PER_ROUND_MAX:
                raise StoreError(f"round {record.round} has {count} steps already, more are not kept")
            database.execute(f"INSERT INTO steps ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def steps(self, round: int, shard: int) -> list[StepRecord]:
        """The steps of one shard-round, in the order they happened."""
        rows = self._all(
            f"SELECT {_COLUMNS} FROM steps WHERE round = ? AND shard = ? ORDER BY rowid", (round, shard)
        )
        return [
            StepRecord(round, shard, step, wave, elapsed_ms, _keys(answered), _keys(missing), detail, at_ms)
            for round, shard, step, wave, elapsed_ms, answered, missing, detail, at_ms in rows
        ]


def _keys(joined: Sequence[int]) -> tuple[bytes, ...]:
    data = bytes(joined)
    return tuple(data[start : start + KEY_BYTES] for start in range(0, len(data), KEY_BYTES))
