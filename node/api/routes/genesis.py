"""Genesis: what a client that verifies begins with."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.api.answers import ASK_AGAIN, BYTES_ANSWER, unchanging
from node.api.service import ServiceOf

router = APIRouter(tags=["network"])


@router.get(
    "/v1/genesis",
    operation_id="get_genesis",
    summary="The network's canonical genesis",
    response_class=Response,
    responses=BYTES_ANSWER,
)
async def get_genesis(request: Request, service: ServiceOf) -> Response:
    """Canonical msgpack; its digest is the network id, which a careful client has from somewhere else."""
    # Another network may be served at this address one day: the client asks again, and is told the ETag.
    return unchanging(request, service.genesis.network_id, service.genesis.data, cache=ASK_AGAIN)
