"""The node at a glance."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from node.api.answers import answer
from node.api.errors import ApiError
from node.api.remembered import StatusRoute
from node.api.service import Service, ServiceOf

router = APIRouter(tags=["node"], route_class=StatusRoute)


class StatusAnswer(BaseModel):
    """A running validator. Keys and ids are hex, times Unix milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    public_key: str
    network: str = Field(description="The network's name in genesis.")
    network_id: str
    modality: str = Field(description="What the network embeds.")
    version: str
    started_ms: int
    updated_ms: int
    addresses: tuple[str, ...]
    peers: int = Field(description="Connected peers; /v1/peers names them.")
    round: int = Field(description="The slot that is open now; negative before genesis.")
    last_certified_round: int | None
    epoch: int = Field(description="The newest epoch whose record is here.")
    phase: str
    slot_ms: int
    genesis_ms: int = Field(description="When round 0 began.")
    api: str | None = Field(description="Where this API listens.")
    counters: dict[str, int]


@router.get(
    "/v1/status", operation_id="get_status", summary="The node at a glance", response_model=StatusAnswer
)
def get_status(service: ServiceOf) -> Response:
    """Who the node is, what it is at, what it has counted."""
    return answer(answered_status(service))


def answered_status(service: Service) -> StatusAnswer:
    """The newest status. Raises ApiError before the first, StoreError."""
    status = service.status()
    if status is None:
        raise ApiError(503, "the node is starting: ask again in a second", headers={"Retry-After": "1"})
    genesis = service.genesis
    return StatusAnswer(
        role=status.role,
        public_key=status.public_key,
        network=genesis.content.name,
        network_id=status.network_id,
        modality=genesis.modality.name,
        version=status.version,
        started_ms=status.started_ms,
        updated_ms=status.updated_ms,
        addresses=status.addresses,
        peers=len(status.peers),
        round=status.round,
        last_certified_round=status.last_certified_round,
        epoch=service.store.newest_epoch(),
        phase=status.phase,
        slot_ms=genesis.parameters.slot_ms,
        genesis_ms=genesis.content.genesis_time_ms,
        api=status.api,
        counters=status.counters,
    )
