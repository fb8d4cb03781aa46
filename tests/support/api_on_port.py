"""The API of a validator without a network, on a port of its own: for browsers and other real clients."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from node.api.app import make_app
from node.api.events import EventHub
from node.api.server import bind
from node.api.service import Service
from node.status import NodeStatus
from tests.support.api import service_over
from tests.support.certified_history import History
from tests.support.serving import served

START_WITHIN_S = 30.0


@contextmanager
def served_api(
    root: Path,
    history: History | None = None,
    status: NodeStatus | None = None,
    at: str = "127.0.0.1:0",
    **settings: object,
) -> Iterator[tuple[str, Service]]:
    """`host:port` of the API over such a service, and the service, whose `events` are heard there."""
    with service_over(root, history, status, **settings) as service:
        thread = _Thread(service, at)
        thread.start()
        try:
            told = thread.told.get(timeout=START_WITHIN_S)
            if isinstance(told, BaseException):
                raise told
            yield told, service
        finally:
            thread.stop()
            thread.join(START_WITHIN_S)


class _Thread(threading.Thread):
    """A trio loop that holds the server, as a node's does."""

    def __init__(self, service: Service, at: str) -> None:
        super().__init__(name="served-api")
        self.told: queue.Queue[str | BaseException] = queue.Queue()
        self._service = service
        self._at = at
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()

    def stop(self) -> None:
        if self._token is not None:
            self._token.run_sync_soon(self._scope.cancel)

    def run(self) -> None:
        trio.run(self._serve)

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        events: EventHub = self._service.events
        try:
            with self._scope:
                async with served(lambda: make_app(self._service), bind(self._at), events) as address:
                    self.told.put(address)
                    await trio.sleep_forever()
        except Exception as error:
            self.told.put(error)
