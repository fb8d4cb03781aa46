"""Rounds: the newest, and all of one."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from node.api.answers import answer, refusals
from node.api.disputes import dispute_of
from node.api.ids import Before, Limit, Number, unknown
from node.api.models.rounds import Round, RoundDetail, RoundPage, Score, Shard, Step
from node.api.remembered import RememberedRoute
from node.api.service import Service, ServiceOf
from node.store import RoundHead, RoundRecord, ScoreRecord, StepRecord
from protocol.codec import CodecError, decode
from protocol.messages import Certificate, Report
from protocol.schedule import slot_start_ms
from protocol.statement import ENVELOPE_BYTES_MAX, StatementError, parse

router = APIRouter(prefix="/v1/rounds", tags=["rounds"], route_class=RememberedRoute)

ROUNDS_TOLD = 20


@router.get(
    "",
    operation_id="list_rounds",
    summary="The newest rounds",
    response_model=RoundPage,
    responses=refusals(400),
)
def list_rounds(service: ServiceOf, limit: Limit = ROUNDS_TOLD, before: Before = None) -> Response:
    """The newest rounds this node knows, all shards of each, newest first."""
    heads = service.store.round_heads(limit, before)
    numbers = {head.round for head in heads}
    last = min(numbers, default=0)
    return answer(
        RoundPage(
            rounds=tuple(Round(**_told(service, head)) for head in heads),
            next_before=last if len(numbers) == limit and last > 0 else None,
        )
    )


@router.get(
    "/{number}",
    operation_id="get_round",
    summary="All of one round",
    response_model=RoundDetail,
    responses=refusals(400, 404),
)
def get_round(service: ServiceOf, number: Number) -> Response:
    """Steps, who answered, scores with every term, who attested, who disputes."""
    heads = [head for head in service.store.round_heads(1, number + 1) if head.round == number]
    if not heads:
        raise unknown(
            f"this node knows nothing of round {number}",
            "/v1/rounds lists what it knows; another validator may know more",
            "number",
            "unknown_round",
        )
    return answer(
        RoundDetail(
            round=number,
            epoch=heads[0].epoch,
            starts_ms=slot_start_ms(service.genesis, number),
            shards=tuple(_shard(service, head) for head in heads),
        )
    )


def _told(service: Service, head: RoundHead) -> dict[str, object]:
    return {
        "round": head.round,
        "shard": head.shard,
        "epoch": head.epoch,
        "state": head.state,
        "dealer": _hex(head.dealer),
        "report": _hex(head.report_digest),
        "updated_ms": head.updated_ms,
        "items": _items(service, head),
        "embeddings": head.embeddings,
    }


def _items(service: Service, head: RoundHead) -> int | None:
    if head.header is None:
        return None
    try:
        # Its signature was checked before it was stored.
        body = parse(head.header, service.genesis.network_id).body
    except StatementError:
        return None
    return body.items if isinstance(body, Report) else None


def _shard(service: Service, head: RoundHead) -> Shard:
    store, at = service.store, (head.round, head.shard)
    record = store.round(*at)
    votes = [] if record is None else _votes(record)
    epoch = service.epochs.by_record(head.epoch)
    stake = None
    if epoch is not None:
        stake = sum(epoch.validators[key].stake for key in votes if key in epoch.validators)
    return Shard(
        **_told(service, head),
        scores=tuple(map(_score, store.scores_of(*at))),
        steps=tuple(map(_step, store.steps(*at))),
        timings_ms={} if record is None else dict(record.timings_ms),
        attestations=tuple(key.hex() for key in votes),
        stake=stake,
        total_stake=epoch.total_stake if epoch is not None else None,
        disputes=tuple(dispute_of(service, one) for one in store.disputes(*at)),
    )


def _votes(record: RoundRecord) -> list[bytes]:
    if record.certificate is None:
        return []
    try:
        certificate = decode(record.certificate, Certificate, size_bytes_max=ENVELOPE_BYTES_MAX)
    except CodecError:
        return []
    return [vote.validator for vote in certificate.attestations]


def _score(record: ScoreRecord) -> Score:
    return Score(
        encoder=record.encoder.hex(),
        score=record.score,
        weight=record.weight,
        terms=dict(record.terms),
    )


def _step(record: StepRecord) -> Step:
    return Step(
        step=record.step,
        wave=record.wave,
        elapsed_ms=record.elapsed_ms,
        answered=tuple(key.hex() for key in record.answered),
        missing=tuple(key.hex() for key in record.missing),
        detail=record.detail,
        at_ms=record.at_ms,
    )


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
