"""Encoders and how they did."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from node.api.answers import answer, refusals
from node.api.encoder_view import encoder_of, encoders_of, history_of
from node.api.ids import PAGE_MAX, After, Digest, Limit, bytes_of, key_after, page_of, unknown
from node.api.models.members import EncoderDetail, EncoderPage
from node.api.reading import newest_epoch
from node.api.remembered import RememberedRoute
from node.api.service import ServiceOf

router = APIRouter(prefix="/v1/encoders", tags=["members"], route_class=RememberedRoute)

HISTORY_ROUNDS: Final = 100

RoundsQuery = Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many of the newest scored rounds.")]


@router.get(
    "",
    operation_id="list_encoders",
    summary="Encoders with their scores",
    response_model=EncoderPage,
    responses=refusals(400),
)
def list_encoders(service: ServiceOf, limit: Limit = PAGE_MAX, after: After = None) -> Response:
    """The encoders of the newest epoch in key order; scores and weights are means over the last 20 scored
    rounds. Average at least 4 before judging one."""
    epoch = newest_epoch(service)
    page, next_after = page_of(list(epoch.encoders), key_after(after), limit)
    return answer(
        EncoderPage(
            epoch=epoch.number,
            total=len(epoch.encoders),
            encoders=encoders_of(service, epoch, page),
            next_after=None if next_after is None else next_after.hex(),
        )
    )


@router.get(
    "/{key}",
    operation_id="get_encoder",
    summary="One encoder, round by round",
    response_model=EncoderDetail,
    responses=refusals(400, 404),
)
def get_encoder(service: ServiceOf, key: Digest, rounds: RoundsQuery = HISTORY_ROUNDS) -> Response:
    """One encoder of the newest epoch with its scores in the newest scored rounds, every term of them."""
    name, epoch = bytes_of(key, "key"), newest_epoch(service)
    if name not in epoch.encoders:
        raise unknown(
            f"{key[:16]} is no encoder of epoch {epoch.number}",
            "/v1/encoders lists those there are; newcomers are from the next epoch on, and who left or was "
            "convicted is no longer",
            "key",
            "unknown_encoder",
        )
    told = encoder_of(service, epoch, name)
    return answer(EncoderDetail(**dict(told), epoch=epoch.number, history=history_of(service, name, rounds)))
