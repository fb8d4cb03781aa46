"""What a validator writes down: facts of its machines and steps of the rounds."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from node.clock import now_ms
from node.epochs.history import keep_epoch
from node.epochs.lock_file import write_lock
from node.network.counters import Counters
from node.store import (
    DisputeRecord,
    EmbeddingRecord,
    EvidenceRecord,
    Put,
    RoundRecord,
    RoundState,
    ScoreRecord,
    StatementRecord,
    StepRecord,
    Store,
    StoreError,
)
from protocol.codec import encode
from protocol.epochs.known import Epochs
from protocol.epochs.outcome import outcome_of
from protocol.evidence import check_evidence
from protocol.items import item_id
from protocol.messages import Body, Dispute, Evidence
from protocol.report import VECTOR_BYTES
from protocol.rounds import effects as fx
from protocol.schedule import ShardRound, dealer_of, shard_of
from protocol.statement import Statement

WAITING_MAX = 16_384
"""Statements and steps not yet written down; beyond it they are dropped and counted."""

DEALS_KEPT = 16
"""Own deals under way; one that was abandoned goes when so many more have been dealt."""

log = structlog.get_logger(__name__)


def _unheard(_: str, __: Mapping[str, Any]) -> None:
    """Nobody listens."""


class Recorder:
    """Writes to the store, always in a thread: its lock and the disk may take their time.

    Facts, on which rounds hang, are awaited. Statements and steps, which people look at, are written by `run`
    as they come; what cannot be written is logged, and no round hangs on it.
    """

    def __init__(
        self,
        epochs: Epochs,
        store: Store,
        counters: Counters,
        lock_path: Path,
        tell: Callable[[str, Mapping[str, Any]], None] = _unheard,
    ) -> None:
        self._epochs = epochs
        self._store = store
        self._lock_path = lock_path
        self._counters = counters
        self._tell = tell
        self._waiting: deque[Callable[[], object]] = deque()
        self._arrived = trio.Event()
        self._received_before: dict[ShardRound, dict[bytes, int]] = {}  # of own deals, by encoder

    async def run(self) -> None:
        """Write down what is witnessed, in order, until cancelled; then the rest."""
        try:
            while True:
                while not self._waiting:
                    self._arrived = trio.Event()
                    await self._arrived.wait()
                await trio.to_thread.run_sync(self._write_waiting)
        finally:
            self._write_waiting()

    def waiting(self) -> int:
        """Statements and steps not yet written down. From any thread."""
        return len(self._waiting)

    def _later(self, write: Callable[[], object]) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._counters.add("store.unwritten")
            return
        self._waiting.append(write)
        self._arrived.set()

    def _write_waiting(self) -> None:
        while self._waiting:
            try:
                self._waiting.popleft()()
            except StoreError as error:
                self._counters.add("store.unwritten")
                log.warning("record.lost", reason=str(error))

    async def keep(self, data: bytes, round_: int, purpose: fx.Purpose) -> None:
        """Make a blob durable. Raises StoreError."""
        await trio.to_thread.run_sync(self._store.put_blob, data, round_, purpose)

    def publish(self, step: fx.Publish) -> None:
        """Write a step down, and for the dealer what each encoder sent between challenge and report."""
        self._record(step)
        if step.step is fx.Step.DEALT:
            self._received_before[step.at] = {key: self._counters.received(key) for key in step.missing}
            while len(self._received_before) > DEALS_KEPT:
                del self._received_before[next(iter(self._received_before))]
        elif step.step in (fx.Step.REPORTED, fx.Step.VOID):
            before = self._received_before.pop(step.at, {})
            if step.step is fx.Step.REPORTED:
                self._record_received(step.at, before)

    def watched(self, step: fx.Publish) -> None:
        """Write down a step of a round that another validator deals."""
        self._record(step)

    def _record_received(self, at: ShardRound, before: dict[bytes, int]) -> None:
        for key, before_bytes in before.items():
            detail = f"{self._counters.received(key) - before_bytes} bytes"
            self._record(fx.Publish(at, fx.Step.RECEIVED, answered=(key,), detail=detail))

    def _record(self, step: fx.Publish) -> None:
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
        at_ms = now_ms()
        self._tell(
            "step",
            {
                "round": step.at.round,
                "shard": step.at.shard,
                "step": step.step.value,
                "wave": step.wave,
                "elapsed_ms": step.elapsed_ms,
                "answered": len(step.answered),
                "missing": len(step.missing),
                "detail": step.detail,
                "at_ms": at_ms,
            },
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
            at_ms=at_ms,
        )
        self._later(partial(self._store.record_step, record))

    def witness(self, statement: Statement[Body]) -> None:
        """Keep what was said: statements of the rounds, disputes, evidence."""
        body, digest, data = statement.body, statement.digest, statement.data
        if isinstance(body, Evidence):
            offender = check_evidence(self._epochs, body)
            evidence = EvidenceRecord(digest, offender, body.offence.value, data, now_ms())
            self._later(partial(self._put_evidence, evidence))
            return
        at, kind = body.at, statement.kind.value
        record = StatementRecord(digest, at.epoch, at.round, at.shard, kind, statement.signer, data, now_ms())
        self._later(partial(self._store.put_statement, record))
        if isinstance(body, Dispute):
            dispute = DisputeRecord(digest, at.round, at.shard, statement.signer, data, now_ms())
            self._later(partial(self._put_dispute, dispute))

    def _put_evidence(self, evidence: EvidenceRecord) -> None:
        if self._store.put_evidence(evidence) is Put.NEW:
            told = {
                "digest": evidence.digest.hex(),
                "offender": evidence.offender.hex(),
                "kind": evidence.kind,
            }
            self._tell("evidence", told)

    def _put_dispute(self, dispute: DisputeRecord) -> None:
        if self._store.put_dispute(dispute) is Put.NEW:
            told = {
                "digest": dispute.digest.hex(),
                "round": dispute.round,
                "shard": dispute.shard,
                "disputer": dispute.disputer.hex(),
            }
            self._tell("dispute", told)

    async def persist(self, fact: fx.Fact) -> None:
        """Write a fact down before anything that follows from it. Raises StoreError."""
        await trio.to_thread.run_sync(self._persist, fact)
        if isinstance(fact, fx.RoundCertified):
            at = fact.at
            told = {
                "round": at.round,
                "shard": at.shard,
                "epoch": at.epoch,
                "report": fact.header.digest.hex(),
                "items": len(fact.items),
            }
            self._tell("certified", told)
        if isinstance(fact, fx.EpochDecided) and self._epochs.newest.number < fact.epoch.number:
            self._epochs.add(fact.epoch)
            validators = sum(state.stake > 0 for state in fact.epoch.states.values())
            encoders = len(fact.epoch.encoders)
            self._tell("epoch", {"epoch": fact.epoch.number, "encoders": encoders, "validators": validators})
            log.info("epoch.begins", epoch=fact.epoch.number, encoders=len(fact.epoch.encoders))

    def _persist(self, fact: fx.Fact) -> None:
        match fact:
            case fx.ReleasedItems(at, scored, served):
                self._round(at, RoundState.OPEN)
                self._store.mark_dealt([item_id(item) for item in served], at.round)
                self._store.mark_released([item_id(item) for item in (*scored, *served)], at.round)
            case fx.ReportMade(at, _, body):
                self._store.put_blob(body, at.round, fx.Purpose.REPORT)
                self._round(at, RoundState.REPORTED)
            case fx.RoundVoid(at, _):
                self._round(at, RoundState.VOID)
                # By round, not by shard: nobody deals two shards of one round, so what was dealt here in it
                # belongs to one of them, and all of them expire together.
                self._store.requeue_items(at.round)
            case fx.RoundCertified():
                self._certified(fact)
            case fx.EpochLocked():
                write_lock(self._lock_path, self._epochs.genesis.network_id, fact)
            case fx.EpochDecided(epoch, certificate):
                keep_epoch(self._store, epoch, certificate)

    def _round(self, at: ShardRound, state: RoundState) -> None:
        dealer = dealer_of(self._epochs.of(at.epoch), at)
        self._store.record_round(RoundRecord(at.epoch, at.round, at.shard, state, now_ms(), dealer))

    def _certified(self, fact: fx.RoundCertified) -> None:
        at, scores = fact.at, fact.body.scores
        # The state comes last: whoever finds a round certified finds all that belongs to it, and what a
        # crash has cut short is caught up from peers.
        self._round(at, RoundState.REPORTED)
        encoders = shard_of(self._epochs.of(at.epoch), at)
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
        self._store.record_round(
            RoundRecord(
                at.epoch,
                at.round,
                at.shard,
                RoundState.CERTIFIED,
                now_ms(),
                dealer_of(self._epochs.of(at.epoch), at),
                fact.header.digest,
                fact.header.data,
                encode(fact.certificate),
                outcome=encode(outcome_of(self._epochs.of(at.epoch), fact.header, fact.body)),
            )
        )


def _floats(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 8}d", data)
