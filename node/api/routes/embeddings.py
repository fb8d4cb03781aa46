"""Ask the network for embeddings, as one asks OpenAI."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

import anyio
from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from node.api.embedding.desk import EmbeddingDesk
from node.api.embedding.jobs import Job
from node.api.embedding.prefer import preference_of
from node.api.errors import ApiError, ErrorBody
from node.api.guard.access import TOKEN_NAME
from node.api.guard.buckets import client_of
from node.api.guard.refusal import client_host
from node.api.models.embeddings import EmbeddingRequest, EmbeddingResponse, JobAnswer
from node.api.routes.jobs import DeskOf, job_response
from node.api.routes.models import check_model
from node.api.service import ServiceOf
from node.store import StoreError
from protocol.report import DIMENSIONS

router = APIRouter(tags=["embeddings"])

TIMEOUT_TYPE: Final = "timeout_error"
CLIENT_GONE: Final = 499
"""Nobody reads it; logs do."""


@router.post(
    "/v1/embeddings",
    operation_id="create_embeddings",
    summary="Certified consensus embeddings",
    response_model=EmbeddingResponse,
    responses={
        202: {"model": JobAnswer, "description": "A job was made: ask /v1/jobs/{id}, named by Location."},
        404: {"model": ErrorBody, "description": "The network is no such model."},
        422: {"model": ErrorBody, "description": "An input was certified without an embedding."},
        429: {"model": ErrorBody, "description": "The queue is full, or too many wait: see Retry-After."},
        501: {"model": ErrorBody, "description": "The network serves no submitted items."},
        504: {"model": ErrorBody, "description": "Not certified in time: the job named by Location goes on."},
    },
)
async def create_embeddings(
    asked: EmbeddingRequest,
    request: Request,
    service: ServiceOf,
    desk: DeskOf,
    prefer: Annotated[
        str,
        Header(max_length=200, description="`respond-async` for a job, `wait=N` to wait N seconds at most."),
    ] = "",
) -> Response:
    """Embed texts. They become public in the report of their round; repeats are answered at once.

    Others wait for the next slot and its round.
    """
    check_model(service, asked.model)
    _check_dimensions(asked.dimensions)
    wish = preference_of(prefer)
    client = client_of_request(request)
    job = await desk.submit(asked.input, asked.encoding_format, client)
    wait_ms = min(desk.wait_ms, wish.wait_ms(desk.wait_ms))
    waited = await wait_for_job(request, desk, job, wait_ms)
    if waited is Waited.GONE:
        return Response(status_code=CLIENT_GONE)
    if waited is Waited.DONE:
        return Response(await desk.answer(job), media_type="application/json")
    await desk.in_thread(desk.jobs.put, job)
    location = {"Location": f"/v1/jobs/{job.id}"}
    if wish.asynchronous:
        return await job_response(desk, job, 202, location)
    raise ApiError(
        504,
        f"not certified within {wait_ms / 1_000:g} s; nothing is lost: the items are queued, and the answer "
        f"will be at /v1/jobs/{job.id} and for the same request",
        type=TIMEOUT_TYPE,
        code="not_certified_in_time",
        headers={**location, "Retry-After": desk.retry_after},
    )


class Waited(Enum):
    """How waiting for a job ended."""

    DONE = "done"
    LATE = "late"
    """The time was over before."""
    GONE = "gone"
    """The client went away before."""


async def wait_for_job(request: Request, desk: EmbeddingDesk, job: Job, wait_ms: int) -> Waited:
    """Until the job is done, the time is over or the client is gone. Raises ApiError, StoreError."""
    waited, failure = Waited.GONE, None
    client = client_of_request(request)

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        waiting.cancel_scope.cancel()

    async with anyio.create_task_group() as waiting:
        waiting.start_soon(watch)
        try:
            waited = Waited.DONE if await desk.wait(job, wait_ms, client) else Waited.LATE
        except (ApiError, StoreError) as error:
            failure = error  # in a group of errors nobody would know it
        waiting.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return waited


def client_of_request(request: Request) -> str:
    """Who stands in line: a token, or else an address."""
    return client_of(client_host(request.scope), request.scope.get(TOKEN_NAME))


def _check_dimensions(dimensions: int | None) -> None:
    if dimensions not in (None, DIMENSIONS):
        raise ApiError(
            400,
            f"dimensions must be {DIMENSIONS} or left out: certificates bind whole vectors, and nobody "
            "certified a part of one; cut vectors after checking them",
            param="dimensions",
            code="dimensions_not_supported",
        )
