"""What a validator writes down: facts of its machines and steps of the rounds."""

from __future__ import annotations

import math
import struct

import structlog
import trio

from node.clock import now_ms
from node.network.counters import Counters
from node.store import (
    BlobPurpose,
    DisputeRecord,
    EmbeddingRecord,
    EvidenceRecord,
    RoundRecord,
    RoundState,
    ScoreRecord,
    StatementRecord,
    StepRecord,
    Store,
    StoreError,
)
from protocol.codec import encode
from protocol.evidence import check_evidence
from protocol.genesis import Genesis
from protocol.items import item_id
from protocol.messages import Body, Dispute, Evidence
from protocol.report import VECTOR_BYTES
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound, dealer_of, shard_of
from protocol.statement import Statement

log = structlog.get_logger(__name__)


class Recorder:
    """Writes to the store; everything that touches megabytes does so in a thread."""

    def __init__(self, genesis: Genesis, store: Store, counters: Counters) -> None:
        self._genesis = genesis
        self._store = store
        self._counters = counters
        self._received_before: dict[bytes, int] = {}  # of the shard dealt last

    async def keep(self, data: bytes, round_: int, purpose: fx.Purpose) -> None:
        """Make a blob durable. Raises StoreError."""
        await trio.to_thread.run_sync(self._store.put_blob, data, round_, BlobPurpose(purpose.value))

    def publish(self, step: fx.Publish) -> None:
        """Write a step down, and for the dealer what each encoder sent between challenge and report."""
        self._record(step)
        if step.step is fx.Step.DEALT:
            self._received_before = {key: self._counters.received(key) for key in step.missing}
        elif step.step is fx.Step.REPORTED:
            for key, before in self._received_before.items():
                size_bytes = self._counters.received(key) - before
                self._record(
                    fx.Publish(step.at, fx.Step.RECEIVED, answered=(key,), detail=f"{size_bytes} bytes")
                )

    def _record(self, step: fx.Publish) -> None:
        # What cannot be written is logged: no round hangs on it.
        log.info(
            f"round.{step.step.value}",
            round=step.at.round,
            shard=step.at.shard,
            wave=step.wave,
            elapsed_ms=step.elapsed_ms,
            answered=len(step.answered),
            missing=len(step.missing),
            detail=step.detail,
        )
        record = StepRecord(
            round=step.at.round,
            shard=step.at.shard,
            step=step.step.value,
            wave=step.wave,
            elapsed_ms=step.elapsed_ms,
            answered=step.answered,
            missing=step.missing,
            detail=step.detail,
            at_ms=now_ms(),
        )
        try:
            self._store.record_step(record)
        except StoreError as error:
            self._counters.add("store.steps_lost")
            log.warning("step.lost", reason=str(error))

    def witness(self, statement: Statement[Body]) -> None:
        """Keep what was said: statements of the rounds, disputes, evidence."""
        body = statement.body
        try:
            if not isinstance(body, Evidence):
                self._put_statement(statement, body.at)
            if isinstance(body, Dispute):
                self._store.put_dispute(
                    DisputeRecord(
                        statement.digest,
                        body.at.round,
                        body.at.shard,
                        statement.signer,
                        statement.data,
                        now_ms(),
                    )
                )
            elif isinstance(body, Evidence):
                offender = check_evidence(self._genesis, body)
                self._store.put_evidence(
                    EvidenceRecord(statement.digest, offender, body.offence.value, statement.data, now_ms())
                )
        except StoreError as error:
            log.warning("statement.lost", kind=statement.kind.value, reason=str(error))

    def _put_statement(self, statement: Statement[Body], at: ShardRound) -> None:
        self._store.put_statement(
            StatementRecord(
                statement.digest,
                at.epoch,
                at.round,
                at.shard,
                statement.kind.value,
                statement.signer,
                statement.data,
                now_ms(),
            )
        )

    async def persist(self, fact: fx.Fact) -> None:
        """Write a fact down before anything that follows from it. Raises StoreError."""
        await trio.to_thread.run_sync(self._persist, fact)

    def _persist(self, fact: fx.Fact) -> None:
        match fact:
            case fx.ReleasedItems(at, scored, served):
                self._round(at, RoundState.OPEN)
                self._store.mark_dealt([item_id(item) for item in served], at.round)
                self._store.mark_released([item_id(item) for item in (*scored, *served)], at.round)
            case fx.ReportMade(at, _, body):
                self._store.put_blob(body, at.round, BlobPurpose.REPORT)
                self._round(at, RoundState.REPORTED)
            case fx.RoundVoid(at, _):
                self._round(at, RoundState.VOID)
                self._store.requeue_items(at.round)
            case fx.RoundCertified():
                self._certified(fact)

    def _round(self, at: ShardRound, state: RoundState) -> None:
        dealer = dealer_of(self._genesis, at)
        self._store.record_round(RoundRecord(at.epoch, at.round, at.shard, state, now_ms(), dealer))

    def _certified(self, fact: fx.RoundCertified) -> None:
        at, scores = fact.at, fact.body.scores
        self._store.record_round(
            RoundRecord(
                at.epoch,
                at.round,
                at.shard,
                RoundState.CERTIFIED,
                now_ms(),
                dealer_of(self._genesis, at),
                fact.header.digest,
                fact.header.data,
                encode(fact.certificate),
            )
        )
        encoders = shard_of(self._genesis, at)
        score, weight = _floats(scores.score), _floats(scores.weight)
        terms = {term.name: _floats(term.values) for term in scores.terms}
        self._store.record_scores(
            ScoreRecord(
                at.round,
                at.shard,
                key,
                score[row],
                weight[row],
                {name: values[row] for name, values in terms.items()},
            )
            for row, key in enumerate(encoders)
        )
        ids = [item_id(item) for item in fact.items]
        vectors = (
            scores.consensus[start : start + VECTOR_BYTES]
            for start in range(0, len(ids) * VECTOR_BYTES, VECTOR_BYTES)
        )
        # An item nobody answered validly has no embedding.
        self._store.record_embeddings(
            EmbeddingRecord(name, at.round, at.shard, position, at.epoch, vector)
            for position, (name, vector) in enumerate(zip(ids, vectors, strict=True))
            if not math.isnan(struct.unpack_from("<f", vector)[0])
        )
        self._store.mark_certified(ids, at.round)


def _floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)
