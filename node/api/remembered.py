"""Answers remembered until the store changes.

Handing a read to a thread and back costs more than most reads. Pages and dashboards ask for the same few
addresses again and again, and between two writes of the node the answer is the same: those are answered on
the loop, after one look at SQLite's own count of changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from node.store import Store, StoreError

ANSWERS_MAX: Final = 256
ANSWER_BYTES_MAX: Final = 64 << 10
"""Larger ones are made anew: 16 MiB are remembered at most."""
KEY_CHARS_MAX: Final = 512


class RememberedAnswers:
    """Answers by address, all of one state of the store. Used on the API's loop alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: int | None = None
        self._answers: OrderedDict[str, Response] = OrderedDict()

    def version(self) -> int | None:
        """The state of the store now; None where that cannot be told without waiting."""
        try:
            found = self._store.version()
        except StoreError:
            return None
        if found is not None and found != self._version:
            self._answers.clear()
            self._version = found
        return found

    def find(self, address: str) -> Response | None:
        """The answer remembered, of the state `version` told last."""
        found = self._answers.get(address)
        if found is not None:
            self._answers.move_to_end(address)
        return found

    def keep(self, address: str, answered: Response, version: int) -> None:
        """Remember an answer made from the state `version` or a later one."""
        # Another request may have seen a later state meanwhile, which is perhaps not in this answer.
        if version != self._version or len(address) > KEY_CHARS_MAX or len(answered.body) > ANSWER_BYTES_MAX:
            return
        self._answers[address] = answered
        while len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)


class RememberedRoute(APIRoute):
    """A route whose answers follow from the store, its address and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, after a look at what is remembered."""
        make = super().get_route_handler()

        async def answer(request: Request) -> Response:
            remembered: RememberedAnswers = request.app.state.reading.answers
            # Whoever names a version it has wants to be told whether it is the newest.
            version = None if "if-none-match" in request.headers else remembered.version()
            if version is None:
                return await make(request)
            address = f"{request.url.path}?{request.url.query}"
            found = remembered.find(address)
            if found is None:
                found = await make(request)
                if found.status_code == 200:
                    remembered.keep(address, found, version)
            # Each has headers of its own: whoever passes it on may add to them.
            return Response(found.body, found.status_code, dict(found.headers))

        return answer
