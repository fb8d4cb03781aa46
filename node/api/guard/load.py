"""How many requests and listeners are served at one time."""

from __future__ import annotations

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.access import TOKEN_NAME
from node.api.guard.buckets import client_of, is_local
from node.api.guard.limits import EVENTS, HEALTH, Limits
from node.api.guard.refusal import client_host, refuse


class Load:
    """Refuses one request too many; health is always told."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._requests = 0
        self._listeners: Counter[str] = Counter()
        self._listening = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request where there is room."""
        path = scope["path"]
        if path == HEALTH:
            await self._app(scope, receive, send)
        elif path == EVENTS:
            await self._listen(scope, receive, send)
        elif self._requests >= self._limits.requests_max:
            await refuse(_full(f"{self._requests} requests are under way", 1), scope, receive, send)
        else:
            self._requests += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._requests -= 1

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = client_host(scope)
        client = client_of(host, scope.get(TOKEN_NAME))
        # All programs of this machine are one client, and so is everybody behind its proxy.
        most = self._limits.listeners_max if is_local(host) else self._limits.listeners_per_client_max
        if self._listening >= self._limits.listeners_max:
            await refuse(_full(f"{self._listening} listen already", 30), scope, receive, send)
            return
        if self._listeners[client] >= most:
            await refuse(_full(f"you listen {most} times already", 30), scope, receive, send)
            return
        self._listening += 1
        self._listeners[client] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._listening -= 1
            self._listeners[client] -= 1
            if not self._listeners[client]:
                del self._listeners[client]


def _full(what: str, wait_s: int) -> ApiError:
    return ApiError(
        429,
        f"{what}, and no more are served at one time: ask again later, or another validator",
        code="busy",
        headers={"Retry-After": str(wait_s)},
    )
