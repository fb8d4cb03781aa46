"""Requests to the API by route: ASGI middleware that counts and times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from prometheus_client import CollectorRegistry, Gauge

from node.metrics import catalogue as m

UNMATCHED: Final = "unmatched"
"""No route has such a path."""
REFUSED: Final = "refused"
"""A guard answered before any route was looked for."""
_PLACE: Final = "deltamesh.route"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestMeters:
    """What is counted of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answered = m.HTTP_REQUESTS.counter(registry)
        self.seconds = m.HTTP_SECONDS.histogram(registry)
        self.open = Gauge(m.HTTP_OPEN.name, m.HTTP_OPEN.help, registry=registry)
        # Found by prometheus-client with every request, they would take longer than counting.
        self.seconds_of = cache(self.seconds.labels)
        self.answered_of = cache(self.answered.labels)


@dataclass(slots=True)
class _Place:
    """Where a request came: shared by the copies that guards make of its scope."""

    route: str = REFUSED


class LearnRoute:
    """Stands around the routes and says, to who counts outside of the guards, which one a request came to."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one of the server's own calls, which pass."""
        place = scope.get(_PLACE)

        async def learning(message: Message) -> None:
            if place is not None and message["type"] == "http.response.start":
                place.route = route_of(scope)
            await send(message)

        await self._app(scope, receive, learning)


class CountRequests:
    """Counts requests when their response ends, and times them until it begins.

    It stands around the guards, which answer some requests themselves. Labels come from the application,
    never from what a client sends.
    """

    def __init__(self, app: App, meters: RequestMeters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one of the server's own calls, which pass."""
        if scope["type"] == "http":
            await self._count(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        place = scope[_PLACE] = _Place()
        began_s = time.perf_counter()
        status = 500  # an application that raises before it answers

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                self._meters.seconds_of(place.route).observe(time.perf_counter() - began_s)
            await send(message)

        method = scope["method"] if scope["method"] in m.HTTP_METHODS else m.HTTP_METHODS[-1]
        self._meters.open.inc()
        try:
            await self._app(scope, receive, watched)
        finally:
            self._meters.open.dec()
            self._meters.answered_of(place.route, method, f"{status // 100}xx").inc()


def came_to(scope: Scope, route: str) -> None:
    """Say which route a request came to, for who answers it in the routes' stead."""
    place = scope.get(_PLACE)
    if place is not None:
        place.route = route


def route_of(scope: Scope) -> str:
    """The template of the route that a request was given to, such as `/v1/rounds/{n}`."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) and path else UNMATCHED
