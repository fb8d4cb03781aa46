"""What happens, as it happens: server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from node.api.errors import ApiError
from node.api.events import EventHub, Kind
from node.api.service import ServiceOf

router = APIRouter(tags=["events"])

LISTENERS_MAX: Final = 2_048
SILENCE_S: Final = 15.0
"""After so long without an event a comment is sent: proxies cut what is silent."""
RETRY_MS: Final = 2_000
_ID_MAX: Final = 1 << 53


@router.get(
    "/v1/events",
    operation_id="listen",
    summary="Server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def listen(
    service: ServiceOf,
    kinds: Annotated[
        str, Query(max_length=200, description=f"Some of {', '.join(Kind)}, by commas; empty is all.")
    ] = "",
    last_event_id: Annotated[
        int | None, Header(ge=0, lt=_ID_MAX, description="Hear what was kept after it first.")
    ] = None,
) -> StreamingResponse:
    """Hear steps of rounds, certificates, epochs, evidence and disputes as they come."""
    wanted = frozenset(filter(None, kinds.split(",")))
    unknown = sorted(wanted - frozenset(Kind))
    if unknown:
        raise ApiError(400, f"there is no such kind of event: choose of {', '.join(Kind)}", param="kinds")
    if service.events.listeners >= LISTENERS_MAX:
        raise ApiError(
            429,
            f"{LISTENERS_MAX} listen already: come back later, or ask another validator",
            headers={"Retry-After": "30"},
        )
    return StreamingResponse(
        _frames(service.events, last_event_id, wanted),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _frames(hub: EventHub, last_id: int | None, kinds: frozenset[str]) -> AsyncIterator[bytes]:
    async with hub.subscribe(last_id, kinds) as listener:
        yield b"retry: %d\n\n" % RETRY_MS
        while frames := await listener.frames(SILENCE_S):
            yield frames
