"""One round as people and programs read it: gathered from the store, then printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.cli.dispute_view import DisputeDetail, disputes_of, print_disputes
from node.cli.output import (
    counted,
    moment,
    number,
    print_facts,
    print_table,
    say,
    short_key,
    span,
)
from node.store import RoundRecord, ScoreRecord, StepRecord, Store
from protocol.codec import CodecError, decode
from protocol.genesis import Genesis
from protocol.messages import Certificate, Report
from protocol.statement import ENVELOPE_BYTES_MAX, Statement, StatementError, expect


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """One shard of one round at a glance."""

    round: int
    shard: int
    epoch: int
    state: str
    dealer: bytes | None
    report: bytes | None
    """Digest of its report."""
    attestations: int
    """Of its certificate; 0 without one."""
    timings_ms: Mapping[str, int]
    updated_ms: int

    def document(self) -> dict[str, Any]:
        """As JSON: keys and digests become hex."""
        return {
            "round": self.round,
            "shard": self.shard,
            "epoch": self.epoch,
            "state": self.state,
            "dealer": self.dealer,
            "report": self.report,
            "attestations": self.attestations,
            "timings_ms": dict(self.timings_ms),
            "updated_ms": self.updated_ms,
        }


@dataclass(frozen=True, slots=True)
class RoundDetail:
    """Everything a node knows of one shard of one round."""

    summary: RoundSummary
    steps: tuple[StepRecord, ...]
    scores: tuple[ScoreRecord, ...]
    signers: Mapping[bytes, int]
    """Validator -> stake, of the certificate."""
    disputes: tuple[DisputeDetail, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.summary.document(),
            "steps": [_step_document(step) for step in self.steps],
            "scores": [
                {"encoder": one.encoder, "score": one.score, "weight": one.weight, "terms": dict(one.terms)}
                for one in self.scores
            ],
            "signers": [{"validator": key, "stake": stake} for key, stake in self.signers.items()],
            "disputes": [one.document() for one in self.disputes],
        }


def summary_of(record: RoundRecord) -> RoundSummary:
    """The summary of a round's row in the store."""
    certificate = certificate_of(record)
    return RoundSummary(
        record.round,
        record.shard,
        record.epoch,
        record.state.value,
        record.dealer,
        record.report_digest,
        len(certificate.attestations) if certificate else 0,
        dict(record.timings_ms),
        record.updated_ms,
    )


def certificate_of(record: RoundRecord) -> Certificate | None:
    """The certificate of a certified round; it was checked before it was stored."""
    if record.certificate is None:
        return None
    try:
        return decode(record.certificate, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX)
    except CodecError:
        return None


def header_of(record: RoundRecord, genesis: Genesis) -> Statement[Report] | None:
    """The signed header of a round's report, where one is held."""
    if record.header is None:
        return None
    try:
        return expect(record.header, genesis.network_id, Report)
    except StatementError:
        return None


def detail(store: Store, genesis: Genesis, record: RoundRecord) -> RoundDetail:
    """Gather what the store has on one shard-round. Raises StoreError."""
    certificate = certificate_of(record)
    voters = [vote.validator for vote in certificate.attestations] if certificate else []
    stakes = dict(genesis.validator_stakes)
    return RoundDetail(
        summary=summary_of(record),
        steps=tuple(store.steps(record.round, record.shard)),
        scores=tuple(store.scores_of(record.round, record.shard)),
        signers={key: stakes.get(key, 0) for key in voters},
        disputes=tuple(disputes_of(store, genesis, record.round, record.shard)),
    )


def print_round(found: RoundDetail, genesis: Genesis) -> None:
    """Print one shard-round in a terminal."""
    shown = found.summary
    stake = sum(found.signers.values())
    attested = f"{counted(len(found.signers), 'validator')}, {stake:,} of {genesis.total_stake:,} stake"
    print_facts(
        {
            "round": f"{shown.round}, shard {shown.shard}, epoch {shown.epoch}",
            "state": shown.state,
            "dealer": short_key(shown.dealer),
            "report": shown.report.hex() if shown.report else "-",
            "attested by": attested if found.signers else "nobody yet",
            "last change": moment(shown.updated_ms),
        }
    )
    if shown.timings_ms:
        say("timings  " + ", ".join(f"{name} {span(ms)}" for name, ms in shown.timings_ms.items()))
    say("")
    _print_steps(found)
    _print_scores(found)
    if found.signers:
        rows = [[short_key(key), f"{one:,}"] for key, one in found.signers.items()]
        print_table("Attestations", ["validator", "stake"], rows, right=frozenset({"stake"}))
    print_disputes(found.disputes, genesis)


def _print_steps(found: RoundDetail) -> None:
    if not found.steps:
        say(
            "No steps are recorded: this node did not follow the round, or it is older than "
            "`retention_rounds` and they were dropped."
        )
        return
    rows = [
        [
            step.step,
            f"{step.wave}" if step.wave else "-",
            f"{step.elapsed_ms:,} ms",
            _keys(step.answered),
            _keys(step.missing),
            step.detail or "-",
        ]
        for step in found.steps
    ]
    columns = ["step", "wave", "took", "answered", "missing or late", "detail"]
    print_table("Steps", columns, rows, right=frozenset({"wave", "took"}))


def _print_scores(found: RoundDetail) -> None:
    if not found.scores:
        say("No scores: the round has no certified report here.")
        return
    rows = [[short_key(one.encoder), number(one.score), number(one.weight)] for one in found.scores]
    print_table("Scores", ["encoder", "score", "weight"], rows, right=frozenset({"score", "weight"}))


def _step_document(step: StepRecord) -> dict[str, Any]:
    return {
        "step": step.step,
        "wave": step.wave,
        "elapsed_ms": step.elapsed_ms,
        "answered": list(step.answered),
        "missing": list(step.missing),
        "detail": step.detail,
        "at_ms": step.at_ms,
    }


def _keys(keys: tuple[bytes, ...]) -> str:
    return " ".join(short_key(key) for key in keys) or "-"
