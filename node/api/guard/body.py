"""Bodies: bounded by what is said and by what comes, read whole, and JSON that can be parsed in peace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.json_shape import checked_json
from node.api.guard.limits import CHARGED_BYTES, EMBEDDINGS, TEXT_COST, Limits
from node.api.guard.rate import CHARGE
from node.api.guard.refusal import CLOSE, one_value, refuse, values_of

_JSON: Final = re.compile(rb"application/json(?:\s*;\s*charset=\"?utf-8\"?)?\s*", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,19}")
_ON_LOOP_BYTES_MAX: Final = 16_384
"""A longer body is checked in a thread: the loop serves others meanwhile."""


class Disconnected(Exception):  # noqa: N818 (says what happened; nobody is told)
    """The client is gone before its request was whole."""


@dataclass(slots=True)
class _Held:
    """Bytes one request holds."""

    bytes: int = 0


class Body:
    """Reads the body of a request, hands it on in one piece, and charges for the inputs in it."""

    def __init__(self, app: ASGIApp, limits: Limits, input_cost: int = TEXT_COST) -> None:
        """`input_cost`: units that an input to embed takes."""
        self._app = app
        self._limits = limits
        self._input_cost = input_cost
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request."""
        held = _Held()
        try:
            body = await self._read(scope, receive, held)
            if scope["method"] == "POST":
                await self._check(scope, body)
            elif body:
                raise ApiError(400, f"{scope['method']} has no body here: put what you ask into the query")
            await self._app(scope, _replayed(body, receive), send)
        except ApiError as error:
            await refuse(error, scope, receive, send)
        except Disconnected:
            return
        finally:
            self._held_bytes -= held.bytes

    async def _read(self, scope: Scope, receive: Receive, held: _Held) -> bytes:
        """The whole body. Raises ApiError above the bounds, Disconnected.

        What has come counts, not what is promised: promises would fill the room of all.
        """
        most = self._expected(scope)
        parts: list[bytes] = []
        while most:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            held.bytes += len(part)
            self._held_bytes += len(part)
            if held.bytes > most:
                raise _too_large(most)
            if self._held_bytes > self._limits.bodies_bytes_max:
                raise ApiError(
                    429,
                    "too many large requests are being read: send this one again",
                    headers={"Retry-After": "1", **CLOSE},
                )
            parts.append(part)
            if not message.get("more_body", False):
                break
        return b"".join(parts)

    def _expected(self, scope: Scope) -> int:
        """The most bytes the body may come to; 0 where there is none. Raises ApiError."""
        most = self._limits.body_max(scope["path"])
        length = one_value(scope, b"content-length")
        if length is None:
            return most if values_of(scope, b"transfer-encoding") else 0
        if not _LENGTH.fullmatch(length):
            raise ApiError(
                400, "Content-Length is no number of bytes: leave it to your client", headers=CLOSE
            )
        if int(length) > most:
            raise _too_large(most)
        return int(length)

    async def _check(self, scope: Scope, body: bytes) -> None:
        encoding = one_value(scope, b"content-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            raise ApiError(415, "compressed bodies are not read: send it as it is", headers=CLOSE)
        kind = one_value(scope, b"content-type")
        if kind is None or not _JSON.fullmatch(kind):
            # Also what a form of another site cannot send without asking first.
            raise ApiError(415, "the body is not said to be JSON: send `Content-Type: application/json`")
        if len(body) > _ON_LOOP_BYTES_MAX:
            document = await anyio.to_thread.run_sync(self._parsed, body)
        else:
            document = self._parsed(body)
        inputs = _inputs(document) if scope["path"] == EMBEDDINGS else 0
        if CHARGE in scope:
            scope[CHARGE](inputs * self._input_cost + len(body) // CHARGED_BYTES)

    def _parsed(self, body: bytes) -> Any:
        return checked_json(
            body, depth_max=self._limits.json_depth_max, elements_max=self._limits.json_elements_max
        )


def _inputs(document: object) -> int:
    """How many items a request asks to have embedded, as far as one can tell; the route judges them."""
    asked = document.get("input") if isinstance(document, dict) else None
    return len(asked) if isinstance(asked, list) else 1


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` for the application: the body in one piece, then whatever comes."""
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _too_large(most: int) -> ApiError:
    return ApiError(
        413, f"the body is over {most} bytes, the most that is read here: send it in parts", headers=CLOSE
    )
