"""What every answer tells the browser it came to."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

DATA_CSP: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Of all but the page, which has its own policy: should a browser show it, nothing in it runs."""

_EVERYWHERE: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"content-security-policy", DATA_CSP.encode()),
)
HEADS_KEPT: Final = 256
# Names of what runs here, which a scanner looks up.
_TOLD_BY_NONE: Final = (b"server", b"x-powered-by")


class SecurityHeaders:
    """Adds them to every answer, refusals included; what a route has set itself stays."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, its answer with the headers."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": with_security(message.get("headers", ()))}
            await send(message)

        await self._app(scope, receive, guarded)


def with_security(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of an answer and those that protect who reads it."""
    return _with_security(tuple(headers))


# The same answers are given again and again.
@lru_cache(maxsize=HEADS_KEPT)
def _with_security(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
    kept = tuple((name, value) for name, value in headers if name.lower() not in _TOLD_BY_NONE)
    told = {name.lower() for name, _ in kept}
    return kept + tuple(pair for pair in _EVERYWHERE if pair[0] not in told)
