"""What a request must look like before anything is looked up: method, version, path, query, headers."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.limits import Limits
from node.api.guard.refusal import CLOSE, refuse

METHODS: Final = ("GET", "HEAD", "POST", "DELETE")
CHANGING: Final = ("POST", "DELETE")
"""Those that more than read."""
# Names, numbers and hexadecimal digits are all that paths here are made of: whatever would have to be
# decoded, twice perhaps and by each proxy in its own way, is no path of this API.
_PATH: Final = re.compile(rb"/|(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+/?")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_QUERY: Final = re.compile(rb"[\x21-\x7e]*")


class Shape:
    """Refuses a request by its first lines; hands HEAD on as GET, whose body is then left out."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request."""
        if scope["type"] != "http":
            # No lifespan and no web socket is served: the server is set so, and another is not obliged.
            raise RuntimeError(f"the API serves HTTP, no {scope['type']}")
        fault = judged(scope, self._limits)
        if fault is not None:
            await refuse(fault, scope, receive, send)
        elif scope["method"] == "HEAD":
            head = _Head(receive, send)
            await self._app({**scope, "method": "GET"}, head.receive, head.send)
        else:
            await self._app(scope, receive, send)


def judged(scope: Scope, limits: Limits) -> ApiError | None:
    """What is wrong with the first lines of a request, None where nothing is."""
    method, path, query = str(scope["method"]), bytes(scope["raw_path"]), bytes(scope["query_string"])
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if scope["http_version"] not in ("1.0", "1.1"):
        return ApiError(400, "HTTP 1.1 is spoken here: ask with it", headers=CLOSE)
    if method not in METHODS:
        allowed = ", ".join(METHODS)
        return ApiError(
            405, f"{method[:16]} is not served here: use {allowed}", headers={"Allow": allowed, **CLOSE}
        )
    if len(path) > limits.path_bytes_max or len(query) > limits.query_bytes_max:
        return ApiError(
            414,
            f"the address is too long: a path has at most {limits.path_bytes_max} bytes and a query "
            f"{limits.query_bytes_max}; send what is longer in a body",
            headers=CLOSE,
        )
    if len(headers) > limits.headers_max or sum(map(_size, headers)) > limits.head_bytes_max:
        return ApiError(
            431,
            f"too many headers: at most {limits.headers_max} of {limits.head_bytes_max} bytes are read",
            headers=CLOSE,
        )
    if not _PATH.fullmatch(path):
        return ApiError(400, "no path here looks like this: /openapi.json lists what is served", code="path")
    if not _is_text(query):
        return ApiError(400, "the query is not percent-encoded UTF-8: encode it", code="query")
    return None


def _size(header: tuple[bytes, bytes]) -> int:
    return len(header[0]) + len(header[1])


def _is_text(query: bytes) -> bool:
    if not _QUERY.fullmatch(query) or _BAD_ESCAPE.search(query):
        return False
    if b"%" not in query:
        return True
    decoded = unquote_to_bytes(query)
    try:
        # Overlong forms and halves of surrogate pairs are no UTF-8; a NUL is nothing anybody asks for.
        decoded.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\x00" not in decoded


class _Head:
    """Ends the answer to HEAD with its headers: a stream would go on for ever with nobody to hear it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._answered = False

    async def receive(self) -> Message:
        return {"type": "http.disconnect"} if self._answered else await self._receive()

    async def send(self, message: Message) -> None:
        if self._answered or message["type"] != "http.response.start":
            return
        await self._send(message)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        self._answered = True
