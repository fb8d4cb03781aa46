"""Search among what the network has certified."""

from __future__ import annotations

from typing import Annotated, Final

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from node.api.embedding.desk import EmbeddingDesk
from node.api.embedding.jobs import Encoding
from node.api.errors import ApiError, ErrorBody
from node.api.models.search import (
    SPACE_PATTERN,
    MapAnswer,
    NeighbourAnswer,
    PointAnswer,
    SearchAnswer,
    SearchRequest,
)
from node.api.routes.embeddings import (
    CLIENT_GONE,
    TIMEOUT_TYPE,
    Waited,
    client_of_request,
    wait_for_job,
)
from node.api.routes.jobs import DeskOf
from node.api.service import Service, ServiceOf
from node.search_process import (
    Find,
    Found,
    Projection,
    Reason,
    SearchBusyError,
    SearchError,
    SearchRefusedError,
)
from node.space import NEWEST

router = APIRouter(tags=["search"])

MAP_POINTS_MAX: Final = 5_000
MAP_IDS_MAX: Final = 50
"""More do not fit into a query."""
_STATUSES: Final = {
    Reason.INVALID: (400, None),
    Reason.UNKNOWN_ITEM: (404, "item_id"),
    Reason.UNKNOWN_SPACE: (404, "space"),
    Reason.MIXED_SPACES: (409, "space"),
}
_RESPONSES: Final[dict[int | str, dict[str, object]]] = {
    404: {"model": ErrorBody, "description": "There is no such item or space here."},
    409: {"model": ErrorBody, "description": "Not all vectors can be brought into the space."},
    429: {"model": ErrorBody, "description": "Too many searches wait."},
    503: {"model": ErrorBody, "description": "The search does not run."},
}


@router.post(
    "/v1/search",
    operation_id="search",
    summary="The nearest items",
    response_model=SearchAnswer,
    responses={
        **_RESPONSES,
        422: {"model": ErrorBody, "description": "The text was certified without an embedding."},
        501: {"model": ErrorBody, "description": "The network serves no submitted items."},
        504: {"model": ErrorBody, "description": "The text was not certified in time; it is queued."},
    },
)
async def search(
    request: Request, service: ServiceOf, desk: DeskOf, asked: SearchRequest
) -> SearchAnswer | Response:
    """Items nearest to a text, an item or a vector, by cosine, in one space.

    A text that is a certified item is searched for by its consensus embedding. Any other is embedded here by
    the network's reference encoder, and the answer is not `certified`; nobody else learns of it. With
    `certified` the text is submitted, which makes it public, and the answer comes with its certificate. An
    item is not among its own neighbours.
    """
    if asked.certified and not await _certified(request, desk, asked):
        return Response(status_code=CLIENT_GONE)
    found = await anyio.to_thread.run_sync(_found, service, asked)
    return SearchAnswer(
        space=found.space,
        method=found.method,
        recall=found.recall,
        searched=found.searched,
        certified=found.is_consensus,
        model=found.model,
        neighbours=tuple(
            NeighbourAnswer(
                item_id=one.item_id.hex(),
                score=one.score,
                preview=one.preview,
                round=one.round,
                shard=one.shard,
                source=one.source,
                certificate=None if one.certificate is None else one.certificate.hex(),
            )
            for one in found.hits
        ),
    )


@router.get("/v1/map", operation_id="get_map", summary="Items on a plane", responses=_RESPONSES)
def get_map(
    service: ServiceOf,
    limit: Annotated[int, Query(ge=1, le=MAP_POINTS_MAX, description="How many, the newest first.")] = 2_000,
    space: Annotated[str, Query(pattern=SPACE_PATTERN)] = NEWEST,
    item_id: Annotated[
        list[Annotated[str, Query(pattern=r"^[0-9a-f]{64}$")]] | None,
        Query(max_length=MAP_IDS_MAX, description="Only these items."),
    ] = None,
) -> MapAnswer:
    """Consensus embeddings along the two directions in which their space differs most.

    The directions follow from the space's epoch: points stay where they are while others come.
    """
    ids = tuple(bytes.fromhex(one) for one in item_id or ())
    try:
        drawn = service.search.draw(Projection(limit, space, ids))
    except SearchError as error:
        raise _told(error) from error
    return MapAnswer(
        space=drawn.space,
        items=drawn.items,
        points=tuple(
            PointAnswer(item_id=one.item_id.hex(), x=one.x, y=one.y, round=one.round, preview=one.preview)
            for one in drawn.points
        ),
    )


async def _certified(request: Request, desk: EmbeddingDesk, asked: SearchRequest) -> bool:
    """Have the text certified; False when who asked went away before it was. Raises ApiError."""
    job = await desk.submit(asked.text, Encoding.FLOAT, client_of_request(request))
    waited = await wait_for_job(request, desk, job, desk.wait_ms)
    if waited is Waited.GONE:
        return False
    if waited is Waited.LATE:
        raise ApiError(
            504,
            f"the text is not certified within {desk.wait_ms / 1_000:g} s; it is queued: search again later "
            "or without `certified`",
            type=TIMEOUT_TYPE,
            code="not_certified_in_time",
            headers={"Retry-After": desk.retry_after},
        )
    # Says so where it was certified without an embedding.
    await desk.answer(job)
    return True


def _found(service: Service, asked: SearchRequest) -> Found:
    filters = asked.filters
    wanted = Find(
        k=asked.k,
        space=asked.space,
        text=asked.text,
        item_id=None if asked.item_id is None else bytes.fromhex(asked.item_id),
        vector=asked.vector,
        from_round=filters.from_round,
        to_round=filters.to_round,
        source=filters.source,
    )
    try:
        return service.search.find(wanted)
    except SearchError as error:
        raise _told(error) from error


def _told(error: SearchError) -> ApiError:
    if isinstance(error, SearchRefusedError):
        status, param = _STATUSES[error.reason]
        return ApiError(status, str(error), param=param)
    if isinstance(error, SearchBusyError):
        return ApiError(429, str(error), headers={"Retry-After": "1"})
    return ApiError(503, str(error), headers={"Retry-After": "5"})
