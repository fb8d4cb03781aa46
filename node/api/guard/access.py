"""The token that a request brings."""

from __future__ import annotations

import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.buckets import Buckets, client_of, rate_of, too_fast
from node.api.guard.limits import ASSETS, BAD_TOKEN_COST, HEALTH, PAGE, Limits
from node.api.guard.policy import Access
from node.api.guard.refusal import client_host, one_value, refuse
from node.api.guard.shape import CHANGING
from node.api.guard.tokens import TokenBook

TOKEN_NAME: Final = "deltamesh.token"
"""Key of a request's scope under which the name of its token stands, None without one."""
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9._~+/=-]+) *", re.IGNORECASE)
CHALLENGE: Final = 'Bearer realm="deltamesh"'


class Tokens:
    """Refuses what needs a token and has none, and any token that is wrong."""

    def __init__(
        self, app: ASGIApp, access: Access, book: TokenBook, limits: Limits, buckets: Buckets
    ) -> None:
        self._app = app
        self._access = access
        self._book = book
        self._limits = limits
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request; the name of its token goes on with it."""
        try:
            name = self._name(scope)
        except ApiError as error:
            await refuse(self._slowed(error, client_host(scope)), scope, receive, send)
        else:
            await self._app({**scope, TOKEN_NAME: name}, receive, send)

    def _slowed(self, error: ApiError, host: str) -> ApiError:
        """The refusal, or one to wait: who brings many wrong tokens, while right ones from there go on."""
        rate = rate_of(host, None, self._limits)
        wait_s = self._buckets.take(client_of(host, None), 1 + BAD_TOKEN_COST, rate)
        return too_fast(wait_s, rate) if wait_s > 0 else error

    def _name(self, scope: Scope) -> str | None:
        given = one_value(scope, b"authorization")
        # An unused client sends a placeholder where none is asked for: the official one of OpenAI has to.
        if self._access is Access.OPEN or needs_none(scope["path"]):
            return None if given is None else self._book.name_of(token_in(given) or "")
        if given is None:
            if self._access is Access.READ and scope["method"] not in CHANGING:
                return None
            raise _unauthorised("this needs a token: send `Authorization: Bearer TOKEN`", "token_missing")
        token = token_in(given)
        name = None if token is None else self._book.name_of(token)
        if name is None:
            raise _unauthorised("this token is not known here, or was revoked", "token_unknown")
        return name


def token_in(header: bytes) -> str | None:
    """The token of an Authorization header; None where it is of another kind."""
    found = _BEARER.fullmatch(header)
    return None if found is None else found[1].decode("ascii")


def needs_none(path: str) -> bool:
    """Whether all may read this: health, and the page, which is the same everywhere and asks for a token."""
    return path in (HEALTH, PAGE) or path.startswith(ASSETS)


def _unauthorised(message: str, code: str) -> ApiError:
    return ApiError(
        401,
        f"{message}; whoever runs this node makes one with `deltamesh token new NAME`",
        code=code,
        headers={"WWW-Authenticate": CHALLENGE},
    )
