"""Web pages of others: they must not reach an API on loopback by a name of theirs, nor submit to any."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.refusal import CLOSE, one_value, refuse
from node.api.guard.shape import CHANGING

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?")
NAMES_KEPT: Final = 256
"""Names that requests came to, at most 253 characters each, which are not read anew with every one."""
_OWN_SITES: Final = (b"same-origin", b"none")


class Origin:
    """Refuses what a page of another site makes a browser ask for. There is no CORS here to loosen it."""

    def __init__(self, app: ASGIApp, *, loopback: bool) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request."""
        try:
            check_origin(scope, loopback=self._loopback)
        except ApiError as error:
            await refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)


def check_origin(scope: Scope, *, loopback: bool) -> None:
    """Check Host, and of what submits also Origin and Sec-Fetch-Site. Raises ApiError."""
    host = one_value(scope, b"host")
    found = None if host is None else _HOST.fullmatch(host.decode("latin-1"))
    if host is None or found is None:
        # HTTP/1.0 need not name a host, but whoever speaks it today is no browser and can.
        raise ApiError(400, "the header Host is missing or is no host: name the one you ask", headers=CLOSE)
    if loopback and not _is_loopback(found[1]):
        # A page can give its own name this machine's address (DNS rebinding); it cannot change Host.
        raise ApiError(
            421,
            "this API serves its own machine alone: ask http://127.0.0.1 or http://localhost, or have a "
            "proxy set Host to it",
            headers=CLOSE,
        )
    if scope["method"] not in CHANGING:
        return
    site, origin = one_value(scope, b"sec-fetch-site"), one_value(scope, b"origin")
    if (site is not None and site not in _OWN_SITES) or (origin is not None and not _same(origin, host)):
        raise ApiError(403, "pages of other sites may not submit here: ask from your own program")


@lru_cache(maxsize=NAMES_KEPT)
def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _same(origin: bytes, host: bytes) -> bool:
    try:
        return urlsplit(origin.decode("ascii")).netloc.lower() == host.decode("ascii").lower()
    except ValueError:
        return False
