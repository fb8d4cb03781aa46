"""How much a client may ask."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.access import TOKEN_NAME
from node.api.guard.buckets import Buckets, client_of, rate_of, too_fast
from node.api.guard.limits import HEALTH, Limits, cost_of
from node.api.guard.refusal import client_host, refuse

CHARGE: Final = "deltamesh.charge"
"""Key of a request's scope: a function that takes further units, and raises ApiError where there are none."""


class RateLimit:
    """Refuses who has used up what they may, and says when there is more."""

    def __init__(self, app: ASGIApp, limits: Limits, buckets: Buckets) -> None:
        self._app = app
        self._limits = limits
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the request's cost and pass it on; what its body costs is charged when that is known."""
        host, token = client_host(scope), scope.get(TOKEN_NAME)
        client = client_of(host, token)
        rate = rate_of(host, token, self._limits)

        def charge(units: int) -> None:
            wait_s = self._buckets.take(client, units, rate)
            if wait_s > 0:
                raise too_fast(wait_s, rate)

        try:
            if scope["path"] != HEALTH:
                charge(cost_of(scope["path"]))
        except ApiError as error:
            await refuse(error, scope, receive, send)
            return
        await self._app({**scope, CHARGE: charge}, receive, send)
