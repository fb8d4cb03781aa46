"""The API's real server over a service, for tests that open sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import trio

from node.api.app import make_guarded_app
from node.api.events import EventHub
from node.api.guard.limits import Limits
from node.api.server import bind
from node.api.service import Service
from tests.support.serving import served

PATIENCE_S = 20.0
"""Far above every limit of a test: who waits so long was forgotten."""


@contextmanager
def api(service: Service, limits: Limits) -> Iterator[tuple[str, int]]:
    """The real server, in its thread, until the end of the block."""
    ready, over = Event(), Event()
    where: list[str] = []

    async def serve() -> None:
        make = lambda: make_guarded_app(service, limits=limits)  # noqa: E731
        async with served(make, bind("127.0.0.1:0"), EventHub(), limits) as address:
            where.append(address)
            ready.set()
            await trio.to_thread.run_sync(over.wait)

    thread = Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        host, _, port = where[0].rpartition(":")
        yield host, int(port)
    finally:
        over.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
