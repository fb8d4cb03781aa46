"""The API's server in its thread, without a process around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from socket import socket

import trio
from starlette.types import ASGIApp

from node.api.events import EventHub
from node.api.guard.limits import Limits
from node.api.server import STOP_WITHIN_S, ServerThread, address_of


@asynccontextmanager
async def served(
    make: Callable[[], ASGIApp], listening: socket, events: EventHub, limits: Limits | None = None
) -> AsyncIterator[str]:
    """Serve an app until the end of the block; its address. Raises what building it raises."""
    thread = ServerThread(make, listening, events, limits)
    address = address_of(listening)
    thread.start()
    try:
        await trio.to_thread.run_sync(thread.started.wait)
        if thread.fault is not None:
            raise thread.fault
        yield address
    finally:
        thread.stop()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(thread.join, STOP_WITHIN_S + 1)
