"""Scores of the encoders, round by round, and their average."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from node.store.database import Database


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """One encoder's score S and weight in one shard of one round; `terms` by name, NaN where it had none."""

    round: int
    shard: int
    encoder: bytes
    score: float
    weight: float
    terms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoreAverage:
    """The plain mean of an encoder's scores and weights over the shards it was scored in."""

    encoder: bytes
    score: float
    weight: float
    shards: int


_RECENT = (
    "(?1 IS NULL OR round IN (SELECT DISTINCT round FROM scores ORDER BY round DESC LIMIT ?1)) "
    "AND (?2 IS NULL OR encoder = ?2)"
)


class Scores(Database):
    """One row an encoder, shard and round, kept as long as the database has room."""

    def record_scores(self, records: Iterable[ScoreRecord]) -> None:
        """Keep scores, replacing what was recorded for the same encoder; their rounds are recorded first."""
        rows = [(r.round, r.shard, r.encoder, r.score, r.weight, _dump_terms(r.terms)) for r in records]
        with self._transaction() as database:
            database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)

    def scores(self, last_rounds: int | None = None, encoder: bytes | None = None) -> list[ScoreRecord]:
        """Scores of the newest scored rounds, newest first, of one encoder or of all."""
        rows = self._all(
            "SELECT round, shard, encoder, score, weight, terms FROM scores "
            f"WHERE {_RECENT} ORDER BY round DESC, shard, encoder",
            (last_rounds, encoder),
        )
        return [score_record(*row) for row in rows]

    def scores_of(self, round: int, shard: int) -> list[ScoreRecord]:
        """Scores of one shard of one round, heaviest weight first; none where none are recorded."""
        rows = self._all(
            "SELECT round, shard, encoder, score, weight, terms FROM scores "
            "WHERE round = ? AND shard = ? ORDER BY weight DESC, encoder",
            (round, shard),
        )
        return [score_record(*row) for row in rows]

    def average_scores(
        self, last_rounds: int | None = None, encoder: bytes | None = None
    ) -> list[ScoreAverage]:
        """Each encoder's average over the newest scored rounds, best first."""
        rows = self._all(
            "SELECT encoder, avg(score) AS mean, avg(weight), count(*) FROM scores "
            f"WHERE {_RECENT} GROUP BY encoder ORDER BY mean DESC, encoder",
            (last_rounds, encoder),
        )
        return [ScoreAverage(*row) for row in rows]


def score_record(
    round: int, shard: int, encoder: bytes, score: float, weight: float, terms: str
) -> ScoreRecord:
    """A row of the table."""
    return ScoreRecord(round, shard, encoder, score, weight, _load_terms(terms))


def _dump_terms(terms: Mapping[str, float]) -> str:
    # JSON has no NaN and no infinity: the first is null, the others are strings.
    def plain(value: float) -> float | str | None:
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else repr(value)

    return json.dumps({name: plain(value) for name, value in sorted(terms.items())}, allow_nan=False)


def _load_terms(text: str) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in json.loads(text).items()}
