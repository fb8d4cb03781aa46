"""The API of a running validator, in a process that lives and ends with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio

from node.api.guard.policy import check_reachable
from node.api.server import OFF, address_of, bind
from node.api_process.client import ApiProcess
from node.api_process.feed import Feed
from node.metrics.measured import ValidatorMeters
from node.network.counters import Counters
from node.status import NodeStatus

if TYPE_CHECKING:
    from node.roles.base import Node


class ApiState:
    """What the validator tells its API, and hears of it."""

    def __init__(self, counters: Counters) -> None:
        self.metrics = ValidatorMeters()
        self.feed = Feed(self.metrics.measured, counters)
        self.address: str | None = None
        """Where the API listens; None where it does not."""
        self._submitted: trio.Event = trio.Event()

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """An event, for all who listen. From any thread."""
        self.feed.publish(kind, data)

    def tell(self, status: NodeStatus) -> None:
        """The newest status."""
        self.feed.tell(status)
        self.feed.publish(
            "status",
            {
                "round": status.round,
                "last_certified_round": status.last_certified_round,
                "phase": status.phase,
                "peers": len(status.peers),
                "updated_ms": status.updated_ms,
            },
        )

    def wake(self) -> None:
        """Items were submitted."""
        self._submitted.set()

    async def submitted(self) -> None:
        """Wait until items were submitted since the last call."""
        await self._submitted.wait()
        self._submitted = trio.Event()


def open_api(node: Node, state: ApiState, nursery: trio.Nursery) -> None:
    """Serve the API until the nursery is cancelled, unless it is off. The store exists. Raises ConfigError.

    Whoever comes before its process is ready waits in the socket's backlog.
    """
    if node.settings.api == OFF:
        return
    check_reachable(node.settings, node.directory.root)
    listening = bind(node.settings.api)
    state.address = address_of(listening)
    settings = node.settings.model_dump_json().encode()
    process = ApiProcess(listening, settings, node.genesis.data, state.feed, state.wake)
    nursery.start_soon(process.run, f"http://{state.address}")
