"""The API of a running validator, opened with it and closed with it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from node.api.events import EventHub
from node.api.server import OFF, bind, served
from node.metrics.validator import ValidatorMetrics
from node.status import NodeStatus

if TYPE_CHECKING:
    from node.roles.base import Node


SWITCH_S: Final = 0.0005
"""How long one thread may keep the other from the interpreter. At Python's 5 ms a round, which does hundreds
of small steps, would wait that long for many of them while the API is busy."""


class ApiState:
    """What the validator tells its API, from its own thread."""

    def __init__(self) -> None:
        self.events = EventHub()
        self.metrics = ValidatorMetrics()
        self.address: str | None = None
        """Where the API listens; None where it does not."""
        self._status: NodeStatus | None = None
        self._submitted: trio.Event = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None

    def tell(self, status: NodeStatus) -> None:
        """The newest status."""
        self._status = status
        self.events.publish(
            "status",
            {
                "round": status.round,
                "last_certified_round": status.last_certified_round,
                "phase": status.phase,
                "peers": len(status.peers),
                "updated_ms": status.updated_ms,
            },
        )

    def status(self) -> NodeStatus | None:
        """The newest status; None before the first. From any thread."""
        return self._status

    def wake(self) -> None:
        """Items were submitted. From any thread."""
        if self._token is not None:
            # A node that has stopped finds the items in the queue when it starts again.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._wake)

    def _wake(self) -> None:
        self._submitted.set()

    async def submitted(self) -> None:
        """Wait until items were submitted since the last call."""
        self._token = trio.lowlevel.current_trio_token()
        await self._submitted.wait()
        self._submitted = trio.Event()


@asynccontextmanager
async def open_api(node: Node, state: ApiState) -> AsyncIterator[None]:
    """Serve the API until the end of the block, unless it is off. The store exists. Raises ConfigError."""
    if node.settings.api == OFF:
        yield
        return
    from node.api.guard.policy import check_reachable

    check_reachable(node.settings, node.directory.root)
    listening = bind(node.settings.api)
    sys.setswitchinterval(SWITCH_S)
    from node.api.app import make_guarded_app
    from node.api.service import open_service

    with open_service(
        node.genesis, node.settings, node.directory, state.events, state.status, state.wake
    ) as service:
        async with served(
            lambda: make_guarded_app(service, state.metrics), listening, state.events
        ) as address:
            state.address = address
            yield
