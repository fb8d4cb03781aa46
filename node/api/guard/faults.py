"""What the application did not foresee: told to the client by an id, to the log with everything."""

from __future__ import annotations

import secrets
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api.errors import ApiError
from node.api.guard.refusal import client_host, refuse

_LOGGED_CHARS_MAX: Final = 200

log = structlog.get_logger(__name__)


class Faults:
    """Answers 500 with an id under which the log has the traceback. Never with what the fault says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def held(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                if message["status"] == 500:
                    # Starlette answers by itself before it raises on: ours says more.
                    return
                started = True
            if started:
                await send(message)

        try:
            await self._app(scope, receive, held)
        except Exception:
            fault = secrets.token_hex(4)
            log.exception(
                "api.fault",
                id=fault,
                method=scope.get("method"),
                path=str(scope.get("path"))[:_LOGGED_CHARS_MAX],
                client=client_host(scope),
            )
            if not started:
                message = f"the node failed here, which is its fault: tell its operator the id {fault}"
                error = ApiError(500, message, type="server_error", code=fault)
                await refuse(error, scope, receive, send)
            # Else half an answer is out: the server sees that it ends early, and closes the connection.
