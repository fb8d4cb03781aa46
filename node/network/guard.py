"""The boundary that keeps one peer's garbage from ending the process."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from libp2p.tools.anyio_service import Service

from node.network.counters import Counters

_log = logging.getLogger("deltamesh.network")
_RESTART_S = 1.0


def guarded(counters: Counters, where: str, error: BaseException) -> None:
    """Count an exception that was stopped at a boundary, and say so once in a while."""
    name = f"guarded.{where}.{type(error).__name__}"
    counters.add(name)
    if counters.get(name, 0) in (1, 100, 10_000):
        _log.warning("stopped %s in %s: %s", type(error).__name__, where, error)


def guard_tasks(service: Service, counters: Counters) -> None:
    """Make every later task of a libp2p service survive exceptions; daemons are started again.

    By default the first exception in any task (a malformed message, a peer that closes at the wrong moment)
    cancels the whole service, and with it the process. Called at the start of `Service.run`.
    """
    manager: Any = service.manager
    original: Callable[..., None] = manager.run_task
    area = type(service).__name__

    def run_task(
        async_fn: Callable[..., Awaitable[Any]],
        *args: Any,
        daemon: bool = False,
        name: str | None = None,
        _internal: bool = False,
    ) -> None:
        label = name or getattr(async_fn, "__name__", "task")

        async def survive() -> None:
            while True:
                try:
                    await async_fn(*args)
                    return
                except Exception as error:
                    guarded(counters, f"{area}.{label}", error)
                if not daemon:
                    return
                await trio.sleep(_RESTART_S)

        original(survive, daemon=daemon, name=label, _internal=_internal)

    manager.run_task = run_task
