"""Whether the node lives, and whether it is of use: for those who restart and balance."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from node.api.answers import answer
from node.api.remembered import StatusRoute
from node.api.service import Service, ServiceOf
from node.clock import now_ms
from node.roles.standing import Standing
from node.status import STALE_MS
from node.store import StoreError

router = APIRouter(tags=["health"], route_class=StatusRoute)

VOID_SLOTS_MAX: Final = 4
"""A network may fail a round now and then; so many slots without a certificate are a fault."""


class Health(BaseModel):
    """Whether all is well, and what is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ok: bool
    reasons: tuple[str, ...] = Field(description="What is not well, and what to do; empty where all is.")


@router.get(
    "/healthz",
    operation_id="get_health",
    summary="Whether the node's process is at work",
    response_model=Health,
    responses={503: {"model": Health, "description": "It hangs: restart it."}},
)
async def get_health(service: ServiceOf) -> Response:
    """503 where the node's own loop has stopped: whoever restarts processes asks here."""
    return _answered(_hanging(service))


@router.get(
    "/readyz",
    operation_id="get_readiness",
    summary="Whether the node takes part in certified rounds",
    response_model=Health,
    responses={503: {"model": Health, "description": "It is of no use now; the reasons say why."}},
)
def get_readiness(service: ServiceOf) -> Response:
    """503 where the node starts, stands alone, catches up, or its network certifies nothing."""
    return _answered(_hanging(service) + _unready(service))


def _answered(reasons: tuple[str, ...]) -> Response:
    return answer(Health(ok=not reasons, reasons=reasons), "no-store", 503 if reasons else 200)


def _hanging(service: Service) -> tuple[str, ...]:
    status = service.status()
    silent_ms = 0 if status is None else now_ms() - status.updated_ms
    if silent_ms <= STALE_MS:
        return ()
    return (f"the node's loop has been silent for {silent_ms // 1000} s: restart the node if it stays so",)


def _unready(service: Service) -> tuple[str, ...]:
    status = service.status()
    if status is None:
        return ("the node is starting",)
    reasons = []
    if status.phase != Standing.VALIDATING.value:
        reasons.append(f"this validator is {status.phase}: `deltamesh status` says what it waits for")
    if not any(peer.role == "validator" for peer in status.peers) and len(service.genesis.validators) > 1:
        reasons.append("no other validator is connected: check addresses, firewall and bootstrap peers")
    try:
        newest = service.store.last_certified()
    except StoreError as error:
        return (*reasons, f"the store cannot be read: {error}")
    behind = status.round - (-1 if newest is None else newest.round)
    if status.round < 0:
        reasons.append("the network has not begun yet")
    elif behind > VOID_SLOTS_MAX:
        reasons.append(f"no round of the last {behind} is certified here: `deltamesh rounds` says why")
    return tuple(reasons)
