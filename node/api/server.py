"""The API's thread: uvicorn on uvloop, beside the one that hears the node."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import structlog

from config.errors import ConfigError
from node.api.guard.limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from node.api.events import EventHub

OFF: Final = "off"
BACKLOG: Final = 1_024
IDLE_S: Final = 30
"""A connection without a request is closed after it."""
BEAT_EVERY_S: Final = 1.0
STOP_WITHIN_S: Final = 2
"""Requests under way are given so long when the node stops."""

log = structlog.get_logger(__name__)


class ListenError(ConfigError):
    """The API cannot listen where it is to."""


def bind(api: str) -> socket.socket:
    """A listening socket at `host:port`; port 0 lets the system choose. Raises ListenError."""
    host, _, port = api.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ListenError(
            f"the HTTP API cannot listen on {api} ({error.strerror or error}): another node or program may "
            "be there; choose another place with --api host:port, or leave the API out with --api off"
        ) from None
    listening.setblocking(False)
    return listening


def address_of(listening: socket.socket) -> str:
    """`host:port` of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _unheard() -> None:
    """Nobody asks whether the loop turns."""


class ServerThread(threading.Thread):
    """Serves from `start` to `stop`, and closes the socket. `make` is called in it, to build the app."""

    def __init__(
        self,
        make: Callable[[], ASGIApp],
        listening: socket.socket,
        events: EventHub,
        limits: Limits | None = None,
        beat: Callable[[], None] = _unheard,
    ) -> None:
        """`beat` is called on the loop every BEAT_EVERY_S."""
        super().__init__(name="http-api", daemon=True)
        self.started = threading.Event()
        """Set when it serves, or never will."""
        self.fault: Exception | None = None
        self._make = make
        self._listening = listening
        self._events = events
        self._limits = limits or Limits()
        self._beat = beat
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Finish what is under way, for a moment, then end."""
        self._events.close()
        with suppress(RuntimeError):  # the loop has ended by itself
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stopping)

    def run(self) -> None:
        try:
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except Exception as error:
            self.fault = error
            log.exception("api.failed")
        finally:
            self.started.set()
            self._listening.close()

    async def _serve(self) -> None:
        import uvicorn

        from node.api.guard.connection import protocol_of

        app = await asyncio.to_thread(self._make)
        self._loop = asyncio.get_running_loop()
        self._events.attach(self._loop)
        config = uvicorn.Config(
            app,
            loop="none",
            http=cast("type[asyncio.Protocol]", protocol_of(self._limits)),
            ws="none",
            lifespan="off",
            interface="asgi3",
            # Ours says what matters; uvicorn's would set up logging of its own.
            log_config=None,
            # What strangers send is nothing to warn of, and no way to fill the log.
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        server = uvicorn.Server(config)

        def stopping() -> None:
            server.should_exit = True

        self._stopping = stopping
        serving = asyncio.ensure_future(server.serve(sockets=[self._listening]))
        # uvicorn has no event for it.
        while not server.started and not serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self.started.set()
        beating = asyncio.ensure_future(self._beats())
        await serving
        beating.cancel()

    async def _beats(self) -> None:
        while True:
            self._beat()
            await asyncio.sleep(BEAT_EVERY_S)
