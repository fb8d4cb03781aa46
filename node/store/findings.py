"""What is held against a key: evidence of two-faced signing, and disputes of reports."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from node.store.database import Database, Put


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """A self-contained proof against `offender` [32], as it travelled."""

    digest: bytes
    offender: bytes
    kind: str
    envelope: bytes
    received_ms: int


@dataclass(frozen=True, slots=True)
class DisputeRecord:
    """A signed refusal of a report by `disputer` [32]."""

    digest: bytes
    round: int
    shard: int
    disputer: bytes
    envelope: bytes
    received_ms: int


_EVIDENCE = "digest, offender, kind, envelope, received_ms"
_DISPUTE = "digest, round, shard, disputer, envelope, received_ms"


class Findings(Database):
    """Bounded by offender (a few proofs convict) and by round; kept for ever within these bounds."""

    def put_evidence(self, evidence: EvidenceRecord) -> Put:
        """Keep evidence; the same digest a second time changes nothing."""
        self._check_envelope(evidence.envelope)
        with self._transaction() as database:
            if database.execute("SELECT 1 FROM evidence WHERE digest = ?", (evidence.digest,)).fetchone():
                return Put.KNOWN
            against = database.execute(
                "SELECT count(*) FROM evidence WHERE offender = ?", (evidence.offender,)
            ).fetchone()[0]
            total = database.execute("SELECT count(*) FROM evidence").fetchone()[0]
            if against >= self._limits.evidence_per_offender_max or total >= self._limits.evidence_max:
                return Put.FULL
            database.execute(f"INSERT INTO evidence ({_EVIDENCE}) VALUES (?, ?, ?, ?, ?)", astuple(evidence))
            return Put.NEW

    def evidence(self, offender: bytes | None = None) -> list[EvidenceRecord]:
        """Evidence against one key or all, oldest first."""
        rows = self._all(
            f"SELECT {_EVIDENCE} FROM evidence WHERE ?1 IS NULL OR offender = ?1 "
            "ORDER BY received_ms, digest",
            (offender,),
        )
        return [EvidenceRecord(*row) for row in rows]

    def put_dispute(self, dispute: DisputeRecord) -> Put:
        """Keep a dispute; the same digest a second time changes nothing."""
        self._check_envelope(dispute.envelope)
        with self._transaction() as database:
            if database.execute("SELECT 1 FROM disputes WHERE digest = ?", (dispute.digest,)).fetchone():
                return Put.KNOWN
            held = database.execute(
                "SELECT count(*) FROM disputes WHERE round = ?", (dispute.round,)
            ).fetchone()[0]
            if held >= self._limits.disputes_per_round_max:
                return Put.FULL
            database.execute(f"INSERT INTO disputes ({_DISPUTE}) VALUES (?, ?, ?, ?, ?, ?)", astuple(dispute))
            return Put.NEW

    def disputes(self, round: int, shard: int | None = None) -> list[DisputeRecord]:
        """Disputes of a round, of one shard or of all, oldest first."""
        rows = self._all(
            f"SELECT {_DISPUTE} FROM disputes WHERE round = ?1 AND (?2 IS NULL OR shard = ?2) "
            "ORDER BY received_ms, digest",
            (round, shard),
        )
        return [DisputeRecord(*row) for row in rows]
