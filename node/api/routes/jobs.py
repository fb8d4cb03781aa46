"""Jobs: requests for embeddings that nobody waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from node.api.embedding.desk import EmbeddingDesk, Progress
from node.api.embedding.jobs import ID_CHARS, Job
from node.api.embedding.limits import JOB_AGE_MS_MAX
from node.api.errors import ApiError, ErrorBody
from node.api.models.embeddings import JobAnswer
from node.clock import now_ms

router = APIRouter(tags=["embeddings"])

_MISSING: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorBody, "description": "There is no such job, or no longer."}
}


def desk_of(request: Request) -> EmbeddingDesk:
    """The desk of the app that got the request: made when it is first needed, on the loop."""
    state = request.app.state
    if not hasattr(state, "embedding_desk"):
        state.embedding_desk = EmbeddingDesk(state.service, state.reading.spaces)
    desk: EmbeddingDesk = state.embedding_desk
    return desk


async def _desk_of(request: Request) -> EmbeddingDesk:
    return desk_of(request)


DeskOf = Annotated[EmbeddingDesk, Depends(_desk_of)]
JobId = Annotated[str, Path(min_length=ID_CHARS, max_length=ID_CHARS, pattern="^[0-9a-f]*$")]


@router.get(
    "/v1/jobs/{job_id}",
    operation_id="get_job",
    summary="How far a job is, and its response",
    response_model=JobAnswer,
    responses=_MISSING,
)
async def get_job(job_id: JobId, desk: DeskOf) -> Response:
    """Jobs are kept for a day, also when the node restarts. The same request again has the same job."""
    job = await desk.in_thread(desk.jobs.get, job_id, now_ms())
    if job is None:
        raise _no_job()
    return await job_response(desk, job, 200, {"Cache-Control": "no-store"})


@router.delete(
    "/v1/jobs/{job_id}",
    operation_id="delete_job",
    summary="Forget a job",
    status_code=204,
    responses=_MISSING,
)
async def delete_job(job_id: JobId, desk: DeskOf) -> Response:
    """Its items stay: what was submitted is public."""
    if not await desk.in_thread(desk.jobs.drop, job_id):
        raise _no_job()
    return Response(status_code=204)


async def job_response(desk: EmbeddingDesk, job: Job, status: int, headers: Mapping[str, str]) -> Response:
    """How far a job is, and its response when it is done. Raises StoreError."""
    progress = await desk.progress(job)
    response, error = b"null", b"null"
    state = _state(progress)
    if state == "done":
        try:
            response = await desk.answer(job)
        except ApiError as failure:
            if failure.status >= 500:
                raise
            state = "failed"
            told = {
                "message": failure.message,
                "type": failure.type,
                "param": failure.param,
                "code": failure.code,
            }
            error = msgspec.json.encode(told)
    facts = {
        "id": job.id,
        "object": "job",
        "status": state,
        "done": progress.done,
        "total": progress.total,
        "created_ms": job.created_ms,
        "expires_ms": job.created_ms + JOB_AGE_MS_MAX,
    }
    head = msgspec.json.encode(facts)[:-1]
    body = b'%s,"response":%s,"error":%s}' % (head, response, error)
    return Response(body, status, headers=dict(headers), media_type="application/json")


def _state(progress: Progress) -> str:
    if progress.done == progress.total:
        return "done"
    return "dealt" if progress.done or progress.dealt else "queued"


def _no_job() -> ApiError:
    return ApiError(
        404,
        "there is no such job: it was deleted, is over a day old, or was never made here; the same request "
        "to /v1/embeddings finds what is certified",
        param="job_id",
    )
