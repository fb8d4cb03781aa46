"""The rounds as this node knows them: what was reported, what was certified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from node.store.database import Database
from node.store.errors import StoreError


class RoundState(StrEnum):
    """How far one shard of a round has come, for this node."""

    OPEN = "open"
    """Dealt or awaited; left by a report, or by the end of the slot."""
    REPORTED = "reported"
    """A report is known; left by its certificate, or by the end of the slot."""
    VOID = "void"
    """The slot ended without a certificate; left only by a certificate that arrives late."""
    CERTIFIED = "certified"
    """Final: neither left nor rewritten."""


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One shard of one round; `header` and `certificate` are envelopes, `timings_ms` lengths by phase."""

    epoch: int
    round: int
    shard: int
    state: RoundState
    updated_ms: int
    dealer: bytes | None = None
    report_digest: bytes | None = None
    header: bytes | None = None
    certificate: bytes | None = None
    timings_ms: Mapping[str, int] = field(default_factory=dict)
    outcome: bytes | None = None
    """Of a certified round, in canonical encoding: what the records of epochs take from it."""


_COLUMNS = (
    "epoch, round, shard, state, updated_ms, dealer, report_digest, header, certificate, timings_ms, outcome"
)


class Rounds(Database):
    """One row for each shard of each round, kept as long as the database has room."""

    def record_round(self, record: RoundRecord) -> RoundRecord:
        """Merge what is newly known into the row and return it; None leaves what is stored.

        A certified round keeps its state, report and certificate; only timings are still added.
        Raises `StoreError` for a certified round without certificate, or a certificate without that state.
        """
        if (record.state is RoundState.CERTIFIED) != (record.certificate is not None):
            raise StoreError(
                f"round {record.round} shard {record.shard} is recorded as {record.state} with"
                f"{'out' if record.certificate is None else ''} a certificate; "
                "record the certificate and the state together"
            )
        for envelope in (record.header, record.certificate):
            self._check_envelope(envelope or b"")
        with self._transaction() as database:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM rounds WHERE round = ? AND shard = ?", (record.round, record.shard)
            ).fetchone()
            merged = record if row is None else merge(_record(row), record)
            database.execute(
                f"INSERT INTO rounds ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (round, shard) DO UPDATE SET state = excluded.state, "
                "updated_ms = excluded.updated_ms, dealer = excluded.dealer, "
                "report_digest = excluded.report_digest, header = excluded.header, "
                "certificate = excluded.certificate, timings_ms = excluded.timings_ms, "
                "outcome = excluded.outcome",
                _row(merged),
            )
            return merged

    def round(self, round: int, shard: int) -> RoundRecord | None:
        """One shard of a round."""
        row = self._one(f"SELECT {_COLUMNS} FROM rounds WHERE round = ? AND shard = ?", (round, shard))
        return None if row is None else _record(row)

    def rounds(self, limit: int, before: int | None = None) -> list[RoundRecord]:
        """All shards of the `limit` newest rounds (below `before`), newest first."""
        return self._records(
            "round IN (SELECT DISTINCT round FROM rounds WHERE ?2 IS NULL OR round < ?2 "
            "ORDER BY round DESC LIMIT ?1) ORDER BY round DESC, shard",
            limit,
            before,
        )

    def last_certified(self) -> RoundRecord | None:
        """The certified record of the highest round (its lowest shard)."""
        row = self._one(
            f"SELECT {_COLUMNS} FROM rounds WHERE state = 'certified' ORDER BY round DESC, shard LIMIT 1"
        )
        return None if row is None else _record(row)

    def certified_since(self, round: int, limit: int) -> list[RoundRecord]:
        """The certified shards of the first `limit` certified rounds from `round` on, oldest first."""
        return self._records(
            "state = 'certified' AND round IN (SELECT DISTINCT round FROM rounds "
            "WHERE state = 'certified' AND round >= ?2 ORDER BY round LIMIT ?1) ORDER BY round, shard",
            limit,
            round,
        )

    def certified_between(self, first_round: int, after_round: int) -> list[RoundRecord]:
        """The certified shards of the rounds from `first_round` to before `after_round`, in order."""
        return self._records(
            "state = 'certified' AND round >= ? AND round < ? ORDER BY round, shard", first_round, after_round
        )

    def _records(self, condition: str, *values: int | None) -> list[RoundRecord]:
        return [_record(row) for row in self._all(f"SELECT {_COLUMNS} FROM rounds WHERE {condition}", values)]


def merge(stored: RoundRecord, offered: RoundRecord) -> RoundRecord:
    """What is known after `offered`, by the rules of `record_round`."""
    if stored.epoch != offered.epoch:
        raise StoreError(
            f"round {stored.round} is stored under epoch {stored.epoch} and offered under {offered.epoch}; "
            "check that this data directory belongs to the network that is running"
        )
    timings_ms = {**stored.timings_ms, **offered.timings_ms}
    updated_ms = max(stored.updated_ms, offered.updated_ms)
    if stored.state is RoundState.CERTIFIED:
        header = stored.header
        if header is None and offered.report_digest == stored.report_digest:
            header = offered.header
        outcome = stored.outcome or offered.outcome
        return replace(stored, header=header, timings_ms=timings_ms, updated_ms=updated_ms, outcome=outcome)
    report_digest = offered.report_digest or stored.report_digest
    # A header belongs to its report: another report's must not stay beside the certified digest.
    kept_header = stored.header if report_digest == stored.report_digest else None
    return replace(
        offered,
        dealer=offered.dealer or stored.dealer,
        report_digest=report_digest,
        header=offered.header or kept_header,
        timings_ms=timings_ms,
        updated_ms=updated_ms,
    )


def _record(row: Any) -> RoundRecord:
    (
        epoch,
        round,
        shard,
        state,
        updated_ms,
        dealer,
        report_digest,
        header,
        certificate,
        timings_ms,
        outcome,
    ) = row
    return RoundRecord(
        epoch=epoch,
        round=round,
        shard=shard,
        state=RoundState(state),
        updated_ms=updated_ms,
        dealer=dealer,
        report_digest=report_digest,
        header=header,
        certificate=certificate,
        timings_ms=json.loads(timings_ms),
        outcome=outcome,
    )


def _row(record: RoundRecord) -> tuple[Any, ...]:
    return (
        record.epoch,
        record.round,
        record.shard,
        record.state.value,
        record.updated_ms,
        record.dealer,
        record.report_digest,
        record.header,
        record.certificate,
        json.dumps(dict(record.timings_ms), sort_keys=True),
        record.outcome,
    )
