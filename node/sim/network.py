"""Links between nodes: gossip that loses, delays, reorders and repeats; streams that retry; partitions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from node.sim.epochs import ToldEpoch
from node.sim.scheduler import Scheduler
from node.sim.streams import below, chance, stream
from protocol.genesis import Genesis
from protocol.gossip_rules import Topic
from protocol.rounds import effects as fx

FORWARD_TRIES = 8
"""Peers drawn until one is connected: to ask for everyone's connections cost more than all else here."""
STREAM_TRIES = 4
RETRANSMIT_MS = 200
GONE_AFTER_MS_MAX = 1_500
"""How long it takes at most to notice that a connection is lost."""
REPLAYED_FROM = 256
"""Packets remembered for being replayed later."""


@dataclass
class Weather:
    """How bad the links are just now."""

    loss_percent: int = 0
    replay_percent: int = 0
    reorder_percent: int = 0
    delay_ms_max: int = 60


class Peer(Protocol):
    """What the network needs of a node."""

    key: bytes
    alive: bool
    follows_votes: bool
    """Whether it listens to what only validators need."""

    def receive(self, data: bytes, topic: str | None) -> None:
        """A statement has arrived, by gossip on a topic or over a stream."""

    def peer_gone(self, key: bytes) -> None:
        """A connection is lost."""

    def serve(self, digest: bytes, to: bytes) -> bytes | None:
        """A blob, if it is here and this node gives it to that one."""

    def tell_epochs(self, first: int) -> tuple[ToldEpoch, ...]:
        """The epochs from a number on that are written down here."""

    def tell_rounds(self, epoch: int) -> tuple[fx.RoundCertified, ...]:
        """The certified rounds of an epoch that are written down here."""

    def take_items(self, items: tuple[bytes, ...]) -> None:
        """Serve what users have submitted elsewhere."""


T = TypeVar("T")
Separates = Callable[[bytes, bytes], bool]


def _whole(_: bytes, __: bytes) -> bool:
    return False


class Network:
    """All links of one simulation."""

    def __init__(self, seed: int, scheduler: Scheduler, genesis: Genesis, weather: Weather) -> None:
        self._scheduler = scheduler
        self._topics = Topic(genesis.network_id)
        self._draw = stream(seed, "links")
        self._packets: deque[tuple[bytes, str | None]] = deque(maxlen=REPLAYED_FROM)
        self._separates: Separates = _whole
        self.weather = weather
        self.peers: dict[bytes, Peer] = {}
        """Everyone there will be, from before the first message."""
        self._audiences: dict[str, list[bytes]] = {}  # of both topics
        self.sent = 0
        self.sent_bytes = 0

    # -- connections ---------------------------------------------------------------------------------------

    def connected(self, a: bytes, b: bytes) -> bool:
        """Whether bytes can travel between two nodes now."""
        return self.peers[a].alive and self.peers[b].alive and not self._separates(a, b)

    def cut(self, separates: Separates) -> None:
        """Separate nodes from each other; those that were connected notice after a while."""
        self._separates = separates
        for a in self.peers:
            self.lost(a)

    def heal(self) -> None:
        """Connect everyone again."""
        self._separates = _whole

    def lost(self, key: bytes) -> None:
        """Tell those that can no longer reach a node so."""
        for other, peer in self.peers.items():
            if other != key and peer.alive and not self.connected(key, other):
                self._scheduler.after(below(self._draw, GONE_AFTER_MS_MAX), self._gone(peer, key))

    def _gone(self, peer: Peer, key: bytes) -> Callable[[], None]:
        def tell() -> None:
            if peer.alive and not self.connected(key, peer.key):
                peer.peer_gone(key)

        return tell

    # -- statements ----------------------------------------------------------------------------------------

    def gossip(self, sender: bytes, data: bytes, topic: str, to: Iterator[bytes] | None = None) -> None:
        """Send to everyone who follows the topic, or to those in `to` only."""
        for key in self._audience(topic) if to is None else to:
            if key != sender:
                self._packet(sender, key, data, topic)

    def forward(self, sender: bytes, data: bytes, topic: str) -> None:
        """Send on to one who follows the topic: past a loss, and a liar's two stories across."""
        audience = self._audience(topic)
        for _ in range(FORWARD_TRIES):
            key = audience[below(self._draw, len(audience)) - 1]
            if key != sender and self.connected(sender, key):
                self._packet(sender, key, data, topic)
                return

    def hand(self, sender: bytes, to: bytes, data: bytes) -> None:
        """Deliver over a stream: what is lost is sent again, until too many tries have failed."""
        if to != sender:
            self._stream(sender, to, lambda: self.peers[to].receive(data, None), lambda: None)

    def _audience(self, topic: str) -> Sequence[bytes]:
        if topic not in self._audiences:
            follows = [topic == self._topics.rounds or peer.follows_votes for peer in self.peers.values()]
            self._audiences[topic] = [key for key, here in zip(self.peers, follows, strict=True) if here]
        return self._audiences[topic]

    def _packet(self, sender: bytes, to: bytes, data: bytes, topic: str) -> None:
        weather = self.weather
        self.sent += 1
        self.sent_bytes += len(data)
        self._packets.append((data, topic))
        if weather.replay_percent and chance(self._draw, weather.replay_percent):
            old = self._draw.choice(self._packets)
            self._scheduler.after(below(self._draw, 30_000), lambda: self._arrive(None, to, *old))
        if weather.loss_percent and chance(self._draw, weather.loss_percent):
            return
        delay_ms = below(self._draw, weather.delay_ms_max)
        if weather.reorder_percent and chance(self._draw, weather.reorder_percent):
            delay_ms += below(self._draw, 2_000)
        self._scheduler.after(delay_ms, lambda: self._arrive(sender, to, data, topic))

    def _arrive(self, sender: bytes | None, to: bytes, data: bytes, topic: str | None) -> None:
        if self.peers[to].alive and (sender is None or not self._separates(sender, to)):
            self.peers[to].receive(data, topic)

    # -- streams -------------------------------------------------------------------------------------------

    def fetch(self, asker: bytes, digest: bytes, source: bytes, done: Callable[[bytes | None], None]) -> None:
        """Ask one node for a blob; `done` gets it, or None when that node cannot be asked or has it not."""

        def answer(peer: Peer) -> bytes | None:
            data = peer.serve(digest, asker)
            self.sent_bytes += 0 if data is None else len(data)
            return data

        self.ask(asker, source, answer, done)

    def ask(
        self, asker: bytes, source: bytes, answer: Callable[[Peer], T], done: Callable[[T | None], None]
    ) -> None:
        """Ask one node for anything; `done` gets its answer, or None when it cannot be asked."""

        def answered() -> None:
            told = answer(self.peers[source])
            self._scheduler.after(below(self._draw, self.weather.delay_ms_max), lambda: done(told))

        self._stream(asker, source, answered, lambda: done(None))

    def _stream(
        self,
        sender: bytes,
        to: bytes,
        arrived: Callable[[], None],
        failed: Callable[[], None],
        tries: int = 1,
    ) -> None:
        self.sent += 1
        reachable = self.connected(sender, to)
        if reachable and not chance(self._draw, self.weather.loss_percent):
            delay_ms = below(self._draw, self.weather.delay_ms_max)
            self._scheduler.after(delay_ms, lambda: arrived() if self.peers[to].alive else failed())
        elif tries < STREAM_TRIES:
            self._scheduler.after(
                RETRANSMIT_MS * 2**tries, lambda: self._stream(sender, to, arrived, failed, tries + 1)
            )
        else:
            self._scheduler.after(RETRANSMIT_MS, failed)
