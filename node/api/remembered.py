"""Answers remembered until what they follow from changes.

Handing a read to a thread and back costs more than most reads, and finding a route and its arguments as much
again. Pages and dashboards ask for the same few addresses, and between two writes of the node the answer is
the same: those are answered before any route is looked for, after one look at SQLite's own count of changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.clock import now_ms
from node.metrics.requests import came_to, route_of
from node.status import STALE_MS, NodeStatus
from node.store import Store, StoreError

ANSWERS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 64 << 10
"""Larger ones are made anew: 16 MiB are remembered at most."""
KEY_BYTES_MAX: Final = 512

_STATE: Final = "deltamesh.state"
"""Key of a request's scope: the state before it was handed on; without it the answer is not remembered."""

Address = tuple[str, bytes]
"""Path and query."""


@dataclass(frozen=True, slots=True)
class State:
    """What answers follow from: a version of the store, and the node's newest status."""

    version: int
    status: NodeStatus | None
    """None before the first, and where the node's loop has been silent since this one for too long."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer, ready to be sent."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    route: str
    """The template of the route that made it, by which requests are counted."""
    status: NodeStatus | None
    """It follows from this one as well; None where from the store alone."""


class RememberedAnswers:
    """Answers by address, all of one version of the store. Used on the API's loop alone."""

    def __init__(self, store: Store, status: Callable[[], NodeStatus | None]) -> None:
        self._store = store
        self._status = status
        self._version: int | None = None
        self._answers: OrderedDict[Address, Remembered] = OrderedDict()

    def state(self) -> State | None:
        """What answers follow from now; None where that cannot be told without waiting."""
        try:
            found = self._store.version()
        except StoreError:
            return None
        if found is None:
            return None
        if found != self._version:
            self._answers.clear()
            self._version = found
        status = self._status()
        if status is not None and now_ms() - status.updated_ms > STALE_MS:
            status = None
        return State(found, status)

    def find(self, address: Address, state: State) -> Remembered | None:
        """The answer remembered, of the state that `state` told last."""
        found = self._answers.get(address)
        if found is None or (found.status is not None and found.status is not state.status):
            return None
        self._answers.move_to_end(address)
        return found

    def keep(self, address: Address, answered: Remembered, state: State) -> None:
        """Remember an answer made from this state of the store or a later one."""
        # Another request may have seen a later version meanwhile, which is perhaps not in this answer.
        if state.version != self._version or len(answered.body) > ANSWER_BYTES_MAX:
            return
        if len(address[0]) + len(address[1]) > KEY_BYTES_MAX:
            return
        self._answers[address] = answered
        self._answers.move_to_end(address)
        while len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)


class AnswerRemembered:
    """Answers what is remembered; hands all else on to the routes, with the state before they read it."""

    def __init__(self, app: ASGIApp, answers: RememberedAnswers) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one of the server's own calls, which pass."""
        if scope["type"] != "http" or scope["method"] != "GET" or _names_a_version(scope):
            await self._app(scope, receive, send)
            return
        state = self._answers.state()
        if state is None:
            await self._app(scope, receive, send)
            return
        found = self._answers.find((scope["path"], scope["query_string"]), state)
        if found is None:
            scope[_STATE] = state
            await self._app(scope, receive, send)
            return
        came_to(scope, found.route)
        await send({"type": "http.response.start", "status": 200, "headers": found.headers})
        await send({"type": "http.response.body", "body": found.body, "more_body": False})


class RememberedRoute(APIRoute):
    """A route whose answers follow from the store, its address and nothing else."""

    follows_status: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's; what it answers is remembered."""
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            made = await make(request)
            scope = request.scope
            state: State | None = scope.get(_STATE)
            if state is None or made.status_code != 200:
                return made
            if not self.follows_status or state.status is not None:
                answers: RememberedAnswers = request.app.state.reading.answers
                status = state.status if self.follows_status else None
                kept = Remembered(tuple(made.raw_headers), bytes(made.body), route_of(scope), status)
                answers.keep((scope["path"], scope["query_string"]), kept, state)
            return made

        return answer


class StatusRoute(RememberedRoute):
    """A route whose answers follow from the store, the node's newest status while it is fresh, and its
    address."""

    follows_status = True


def _names_a_version(scope: Scope) -> bool:
    """Whether the client says which version it has: it wants to be told whether that is the newest."""
    return any(name == b"if-none-match" for name, _ in scope["headers"])
