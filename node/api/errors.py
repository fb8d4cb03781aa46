"""Errors as clients of OpenAI's API know them: one JSON object that says what happened and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from node.network.errors import NetworkError
from node.store import StoreError

INVALID: Final = "invalid_request_error"
NOT_FOUND: Final = "not_found"
UNAVAILABLE: Final = "unavailable"

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: NOT_FOUND,
    429: "rate_limit_error",
}
_PLACE_CHARS_MAX: Final = 200
_OURS: Final = "Value error, "
"""What pydantic puts before a sentence of ours."""

log = structlog.get_logger(__name__)


class ApiError(Exception):
    """A request cannot be served: its status, and a sentence with the cause and what to do."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type or type_of(status)
        self.param = param
        self.code = code
        self.headers = dict(headers or {})


class ErrorDetail(BaseModel):
    """What happened, why, and what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: ErrorDetail


def type_of(status: int) -> str:
    """The `type` of an error of that status."""
    return _TYPES.get(status, INVALID if status < 500 else UNAVAILABLE)


def error_response(error: ApiError) -> Response:
    """The answer that tells an error."""
    detail = ErrorDetail(message=error.message, type=error.type, param=error.param, code=error.code)
    return JSONResponse(ErrorBody(error=detail).model_dump(), error.status, headers=error.headers)


def handle_errors(app: FastAPI) -> None:
    """Answer every error of the app in this form."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreError, _unreadable)
    app.add_exception_handler(NetworkError, _unreadable)


def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults: list[Any] = list(error.errors())
    first = faults[0]
    # The first part says where it was: query, path or body. What was sent is not repeated.
    place = ".".join(str(part) for part in first["loc"][1:])[:_PLACE_CHARS_MAX]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = f"{place}: " if place else ""
    what = str(first["msg"]).removeprefix(_OURS)
    return error_response(
        ApiError(400, f"{where}{what}{more}: /openapi.json lists what is taken", param=place or None)
    )


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404:
        message = "there is nothing at this address: /openapi.json lists what is served"
    elif error.status_code == 405:
        message = f"{request.method[:16]} is not served here: /openapi.json lists what is"
    return error_response(ApiError(error.status_code, message, headers=error.headers))


def _unreadable(_: Request, error: Exception) -> Response:
    log.warning("api.unavailable", reason=str(error))
    return error_response(ApiError(503, f"the node cannot answer now: {error}", headers={"Retry-After": "5"}))
