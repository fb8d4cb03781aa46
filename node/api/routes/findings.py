"""Findings: evidence against keys, and disputes of reports."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from node.api.answers import answer, refusals
from node.api.disputes import dispute_of
from node.api.ids import NUMBER_MAX, Before, Limit, bytes_of
from node.api.models.base import base64
from node.api.models.findings import DisputePage, EvidenceDetail, EvidencePage, SignedStatement
from node.api.models.reports import Place
from node.api.remembered import RememberedRoute
from node.api.service import Service, ServiceOf
from node.store import EvidenceRecord
from protocol.messages import Body, Evidence
from protocol.statement import Statement, parse

router = APIRouter(prefix="/v1", tags=["findings"], route_class=RememberedRoute)

FOUND_TOLD: Final = 50

OffenderQuery = Annotated[
    str | None,
    Query(description="Only against this key.", json_schema_extra={"pattern": "^[0-9a-fA-F]{64}$"}),
]
RoundQuery = Annotated[int | None, Query(ge=0, le=NUMBER_MAX, description="Only of this round.")]


@router.get(
    "/evidence",
    operation_id="list_evidence",
    summary="Evidence against members",
    response_model=EvidencePage,
    responses=refusals(400),
)
def list_evidence(
    service: ServiceOf, limit: Limit = FOUND_TOLD, before: Before = None, offender: OffenderQuery = None
) -> Response:
    """Proofs that a key signed what it must not, newest first. Each convicts by itself, whoever tells it."""
    name = None if offender is None else bytes_of(offender, "offender")
    found = service.store.newest_evidence(limit, before, name)
    return answer(
        EvidencePage(
            evidence=tuple(_evidence(service, record) for _, record in found),
            next_before=found[-1][0] if len(found) == limit else None,
        )
    )


@router.get(
    "/disputes",
    operation_id="list_disputes",
    summary="Disputes of reports",
    response_model=DisputePage,
    responses=refusals(400),
)
def list_disputes(
    service: ServiceOf, limit: Limit = FOUND_TOLD, before: Before = None, round: RoundQuery = None
) -> Response:
    """Who recomputed a report and does not agree: which term, whose, by how much. Newest first."""
    found = service.store.newest_disputes(limit, before, round)
    return answer(
        DisputePage(
            disputes=tuple(dispute_of(service, record) for _, record in found),
            next_before=found[-1][0] if len(found) == limit else None,
        )
    )


def _evidence(service: Service, record: EvidenceRecord) -> EvidenceDetail:
    network_id = service.genesis.network_id
    teller, told = None, []
    try:
        statement = parse(record.envelope, network_id)
        if isinstance(statement.body, Evidence):
            teller = statement.signer.hex()
            told = [_signed(parse(data, network_id)) for data in statement.body.statements]
    except ValueError:  # damaged on disk: what the table says of it is still true
        pass
    return EvidenceDetail(
        digest=record.digest.hex(),
        offender=record.offender.hex(),
        kind=record.kind,
        teller=teller,
        statements=tuple(told),
        received_ms=record.received_ms,
    )


def _signed(statement: Statement[Body]) -> SignedStatement:
    body = statement.body
    at = None if isinstance(body, Evidence) else body.at
    return SignedStatement(
        kind=statement.kind.value,
        digest=statement.digest.hex(),
        at=None if at is None else Place(epoch=at.epoch, round=at.round, shard=at.shard),
        envelope=base64(statement.data),
    )
