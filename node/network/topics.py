"""Delivery of accepted gossip to the application, bounded in messages and bytes."""

from __future__ import annotations

from collections import deque

import trio

from node.network.counters import Counters
from node.network.limits import NetworkLimits

Delivery = tuple[bytes, bytes]


class Inbox:
    """The queue of one topic between the network and its reader.

    A trio channel alone is bounded in messages only: 4,096 messages of 1 MiB would be 4 GiB.
    """

    def __init__(self, limits: NetworkLimits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._arrived = trio.Event()
        self._send, self.receive = trio.open_memory_channel[Delivery](0)

    def put(self, data: bytes, key: bytes) -> None:
        """Queue one delivery; when the reader is too far behind it is dropped and counted."""
        limits = self._limits
        if (
            len(self._waiting) >= limits.gossip_queue_messages
            or self._bytes + len(data) > limits.gossip_queue_bytes
        ):
            self._counters.add("gossip.dropped.inbox_full")
            return
        self._waiting.append((data, key))
        self._bytes += len(data)
        self._arrived.set()

    async def run(self) -> None:
        """Hand deliveries to the reader until it closes its end."""
        async with self._send:
            while True:
                while not self._waiting:
                    self._arrived = trio.Event()
                    await self._arrived.wait()
                delivery = self._waiting.popleft()
                self._bytes -= len(delivery[0])
                try:
                    await self._send.send(delivery)
                except trio.BrokenResourceError:
                    return
