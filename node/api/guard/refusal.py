"""How a request is turned away before the application sees it, and what of a request the guards read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.types import Receive, Scope, Send

from node.api.errors import ApiError, error_response

CLOSE: Final = {"Connection": "close"}


async def refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the error."""
    await error_response(error)(scope, receive, send)


def values_of(scope: Scope, name: bytes) -> Sequence[bytes]:
    """Every value of a header, its name in small letters."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return [value for key, value in headers if key == name]


def one_value(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header that may be given once; None where it is not. Raises ApiError for a second."""
    values = values_of(scope, name)
    if len(values) > 1:
        raise ApiError(400, f"the header {name.decode()} is given {len(values)} times: give it once")
    return values[0] if values else None


def client_host(scope: Scope) -> str:
    """The address a request came from; empty where the transport has none."""
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""
