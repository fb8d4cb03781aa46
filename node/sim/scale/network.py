"""Links of a large network: everything arrives, statements once, and who sent how much is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from node.sim.network import Network, Weather
from node.sim.scale.nodes import MeteredNode
from node.sim.scheduler import Scheduler
from node.sim.streams import below
from protocol.genesis import Genesis

REQUEST_BYTES = 64
"""About what a request for a blob takes: method, digest, offset and size."""
DELAY_MS_MAX = 60


class ScaleNetwork(Network):
    """All links. Gossip is delivered once to every live node; its copies are counted by `mesh.py`'s model."""

    def __init__(self, seed: int, scheduler: Scheduler, genesis: Genesis, degree: int) -> None:
        super().__init__(seed, scheduler, genesis, Weather(delay_ms_max=DELAY_MS_MAX))
        self.live: dict[bytes, MeteredNode] = {}
        self._degree = degree
        self._gossiped: dict[bytes, set[bytes]] = {}  # envelope -> who has published it; one round's

    def forget(self) -> None:
        """A round is over: what was gossiped in it is not gossiped again."""
        self._gossiped.clear()

    def connected(self, a: bytes, b: bytes) -> bool:
        """Everyone reaches everyone; who is not opened would be, if it were asked."""
        return True

    def gossip(self, sender: bytes, data: bytes, topic: str, to: Iterator[bytes] | None = None) -> None:
        """Deliver to every live follower. Told again by another, only the mesh peers of that one see it."""
        began_ns = time.thread_time_ns()
        tally, size_bytes = self.live[sender].tally, len(data)
        if topic == self._topics.rounds:
            tally.published_rounds += 1
            tally.published_rounds_bytes += size_bytes
        else:
            tally.published_votes += 1
            tally.published_votes_bytes += size_bytes
        followers = [key for key in self._followers(topic) if key != sender]
        if data in self._gossiped:
            # Wrapped anew it has another id: mesh peers read it, find that they know it, and leave it there.
            self._gossiped[data].add(sender)
            followers = self._draw.sample(followers, min(self._degree, len(followers)))
        else:
            self._gossiped[data] = {sender}
        for key in followers:
            self._scheduler.after(below(self._draw, DELAY_MS_MAX), self._delivery(key, data, topic))
        # The links' work, not the sender's.
        tally.cpu_ns -= time.thread_time_ns() - began_ns

    def forward(self, sender: bytes, data: bytes, topic: str) -> None:
        """Count it: everyone has it, or has it on its way."""
        tally, size_bytes = self.live[sender].tally, len(data)
        if topic == self._topics.rounds:
            tally.forwarded_rounds += 1
            tally.forwarded_rounds_bytes += size_bytes
        else:
            tally.forwarded_votes += 1
            tally.forwarded_votes_bytes += size_bytes

    def hand(self, sender: bytes, to: bytes, data: bytes) -> None:
        """Deliver over a stream."""
        if to == sender:
            return
        self._count(sender, to, len(data))
        self._scheduler.after(below(self._draw, DELAY_MS_MAX), self._delivery(to, data, None))

    def fetch(self, asker: bytes, digest: bytes, source: bytes, done: Callable[[bytes | None], None]) -> None:
        """Ask one node for a blob; it travels by reference, its bytes are counted."""
        self._count(asker, source, REQUEST_BYTES)

        def answer() -> None:
            data = self.live[source].serve(digest, asker)
            self._count(source, asker, 0 if data is None else len(data))
            self._scheduler.after(below(self._draw, DELAY_MS_MAX), lambda: done(data))

        self._scheduler.after(below(self._draw, DELAY_MS_MAX), answer)

    def _followers(self, topic: str) -> Iterator[bytes]:
        for key in self.live:
            if topic == self._topics.rounds or self.live[key].follows_votes:
                yield key

    def _delivery(self, to: bytes, data: bytes, topic: str | None) -> Callable[[], None]:
        def deliver() -> None:
            node = self.live.get(to)
            if node is not None:
                node.receive(data, topic)

        return deliver

    def _count(self, sender: bytes, to: bytes, size_bytes: int) -> None:
        self.sent += 1
        self.sent_bytes += size_bytes
        out, back = self.live[sender].tally, self.live[to].tally
        out.stream_out += 1
        out.stream_out_bytes += size_bytes
        back.stream_in += 1
        back.stream_in_bytes += size_bytes
