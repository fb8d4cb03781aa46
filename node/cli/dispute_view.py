"""Disputes of a round as people and programs read them: who refuses which report, where, by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from node.cli.output import counted, print_table, say, short_key
from node.store import DisputeRecord, Store
from protocol.batch import PPM
from protocol.genesis import Genesis
from protocol.messages import Dispute
from protocol.report import INCOMPARABLE_PPM
from protocol.statement import StatementError, expect

TOLERANCE_REASON = (
    "sums of floats come out differently on another processor or with another library, "
    "so numbers are compared within a tolerance and never as bytes"
)


@dataclass(frozen=True, slots=True)
class DisputeDetail:
    """One validator's refusal of one report."""

    round: int
    shard: int
    disputer: bytes
    stake: int
    received_ms: int
    body: Dispute | None
    """None when the stored bytes cannot be read."""
    dealer: bytes
    """Who signed the report, where it was seen here; empty otherwise."""
    tolerance_ppm: int
    unreadable: str = ""

    @property
    def difference(self) -> str:
        """By how much the numbers lie apart, |a - b| / (1 + |b|); a claim that is simply false has none."""
        ppm = self.body.difference_ppm if self.body is not None else 0
        if ppm >= INCOMPARABLE_PPM:
            return "not comparable"
        return f"{ppm / PPM:.6f}" if ppm else "-"

    def document(self) -> dict[str, Any]:
        """As JSON: keys and digests become hex."""
        body = self.body
        return {
            "round": self.round,
            "shard": self.shard,
            "disputer": self.disputer.hex(),
            "stake": self.stake,
            "report": body.report.hex() if body else "",
            "dealer": self.dealer.hex(),
            "term": body.term if body else "",
            "encoder": body.encoder.hex() if body else "",
            "difference_ppm": body.difference_ppm if body else 0,
            "tolerance_ppm": self.tolerance_ppm,
            "detail": body.detail if body else self.unreadable,
            "received_ms": self.received_ms,
        }

    def row(self) -> list[str]:
        """As a line of the table."""
        body = self.body
        return [
            short_key(self.disputer),
            short_key(body.report if body else b""),
            short_key(self.dealer),
            body.term if body else "-",
            short_key(body.encoder if body else b""),
            self.difference,
            body.detail if body else self.unreadable,
        ]


def disputes_of(store: Store, genesis: Genesis, round_: int, shard: int | None = None) -> list[DisputeDetail]:
    """The disputes this node has of a round, of one shard or of all, oldest first. Raises StoreError."""
    return [_detail(store, genesis, one) for one in store.disputes(round_, shard)]


def print_disputes(found: Sequence[DisputeDetail], genesis: Genesis) -> None:
    """Print the disputes of one shard-round, with the tolerance and its reason."""
    if not found:
        say("No disputes.")
        return
    stake = sum(one.stake for one in found)
    print_table(
        f"Disputes: {counted(len(found), 'validator')}, {stake:,} of {genesis.total_stake:,} stake",
        ["validator", "report", "dealer", "term", "encoder", "differs by", "detail"],
        [one.row() for one in found],
        right=frozenset({"differs by"}),
    )
    say(tolerance_sentence(genesis))


def tolerance_sentence(genesis: Genesis) -> str:
    """How far numbers may lie apart in this network, and why at all."""
    return f"Tolerance {genesis.parameters.tolerance_ppm / PPM:.6f} of 1 + |claimed|: {TOLERANCE_REASON}."


def _detail(store: Store, genesis: Genesis, record: DisputeRecord) -> DisputeDetail:
    body, report, unreadable = None, None, ""
    try:
        body = expect(record.envelope, genesis.network_id, Dispute).body
        report = store.statement(body.report)
    except StatementError as error:
        unreadable = f"unreadable: {error}"
    return DisputeDetail(
        round=record.round,
        shard=record.shard,
        disputer=record.disputer,
        stake=dict(genesis.validator_stakes).get(record.disputer, 0),
        received_ms=record.received_ms,
        body=body,
        dealer=report.signer if report is not None else b"",
        tolerance_ppm=genesis.parameters.tolerance_ppm,
        unreadable=unreadable,
    )
