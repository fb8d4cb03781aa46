"""Requests to the API by route: ASGI middleware that counts and times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from prometheus_client import Gauge

from node.metrics import catalogue as m
from node.metrics.registry import NodeMetrics

UNMATCHED: Final = "unmatched"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class RequestMeters:
    """Counts requests when their response ends, and times them until it begins.

    Labels come from the routes of the application, never from what a client sends.
    """

    def __init__(self, app: App, metrics: NodeMetrics) -> None:
        self._app = app
        self._requests = m.HTTP_REQUESTS.counter(metrics.registry)
        self._seconds = m.HTTP_SECONDS.histogram(metrics.registry)
        self._open = Gauge(m.HTTP_OPEN.name, m.HTTP_OPEN.help, registry=metrics.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one of the server's own calls, which pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        status = 500  # an application that raises before it answers

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                self._seconds.labels(route_of(scope)).observe(time.perf_counter() - began_s)
            await send(message)

        method = scope["method"] if scope["method"] in m.HTTP_METHODS else m.HTTP_METHODS[-1]
        with self._open.track_inprogress():
            try:
                await self._app(scope, receive, watched)
            finally:
                self._requests.labels(route_of(scope), method, f"{status // 100}xx").inc()


def route_of(scope: Scope) -> str:
    """The template of the route that a request was given to, such as `/v1/rounds/{n}`."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) and path else UNMATCHED
