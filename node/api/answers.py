"""Answers on the wire: checked models as JSON, and bytes that never change.

A model was checked when it was made; FastAPI would check it once more, for nothing. The routes declare it all
the same, for the OpenAPI document.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response

from node.api.errors import ErrorBody

JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
FINAL: Final = "max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"

BYTES_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}},
        "description": "The bytes.",
    },
    304: {"description": "Unchanged since the answer with this ETag."},
}

_WHY: Final = {
    400: "The request is not understood.",
    404: "There is no such thing here; the message says what to do.",
    503: "The node cannot answer now; it says when to ask again.",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of an operation, for the OpenAPI document. Every one reads the store."""
    return {status: {"model": ErrorBody, "description": _WHY[status]} for status in (*statuses, 503)}


def answer(model: BaseModel, cache: str = ASK_AGAIN, status: int = 200) -> Response:
    """A checked model as JSON."""
    return Response(to_json(model), status, media_type=JSON, headers={"Cache-Control": cache})


def unchanging(
    request: Request,
    name: bytes,
    data: bytes,
    *,
    media_type: str = BYTES,
    suffix: str = "",
    cache: str = FINAL,
) -> Response:
    """What is named by a digest: a client that has it already gets no body. `suffix` tells files apart."""
    headers = unchanging_headers(name, suffix, cache)
    if is_known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=media_type, headers=headers)


def unchanging_headers(name: bytes, suffix: str = "", cache: str = FINAL) -> dict[str, str]:
    """Headers of what never changes. It may have been submitted by anybody: no browser is to run it."""
    return {"ETag": f'"{name.hex()}{suffix}"', "Cache-Control": cache, "X-Content-Type-Options": "nosniff"}


def is_known(request: Request, etag: str) -> bool:
    """Whether the client says it has this version."""
    told = request.headers.get("if-none-match", "")
    return told.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in told.split(","))
