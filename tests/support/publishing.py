"""A hub that numbers its own events: the node's end of the feed, in the API's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.api.events import EventHub
from node.api_process.wire import told
from node.clock import now_ms


class PublishingHub(EventHub):
    """Publish here, and it is told as if a node had."""

    def __init__(self) -> None:
        super().__init__(now_ms())

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """Tell all who listen; from one thread at a time."""
        self.take((told(self._last + 1, kind, data),))


def publish(hub: EventHub, kind: str, data: Mapping[str, Any]) -> None:
    """Publish to the hub of a service that a test opened."""
    assert isinstance(hub, PublishingHub)
    hub.publish(kind, data)
