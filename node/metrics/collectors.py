"""What is read when somebody scrapes: status, queues, members, disk. Nothing waits for the node's loop."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric as Exposed

from node.clock import now_ms
from node.metrics import catalogue as m
from node.metrics.counted import counted
from node.status import NodeStatus
from protocol.epochs.known import Epochs
from protocol.quorum import quorum_stake

PPM: Final = 1_000_000

ReadStatus = Callable[[], NodeStatus | None]


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the node: how long it is now, and at most."""

    length: Callable[[], int]
    limit: int


class QueueCollector:
    """The queues a node has told of, by their names in the catalogue."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}

    def watch(self, name: str, length: Callable[[], int], limit: int) -> None:
        """Show a queue from now on; `length` is called from another thread."""
        assert name in m.QUEUES, f"{name} is no queue of the catalogue"
        self._queues[name] = Queue(length, limit)

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        lengths, limits = m.QUEUE.family(), m.QUEUE_LIMIT.family()
        for name, queue in tuple(self._queues.items()):
            lengths.add(queue.length(), (name,))
            limits.add(queue.limit, (name,))
        yield lengths.exposed
        yield limits.exposed


class StatusCollector:
    """What the node's loop tells of itself every second: peers, counters, rounds."""

    def __init__(self, read: ReadStatus, epochs: Epochs, me: bytes) -> None:
        self._read = read
        self._epochs = epochs
        self._me = me

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        status = self._read()
        yield from self._epoch(status)
        if status is None:
            return
        yield m.STATUS_AGE.family().add((now_ms() - status.updated_ms) / 1_000).exposed
        yield m.ROUND.family().add(status.round).exposed
        epoch_rounds = self._epochs.genesis.parameters.epoch_rounds
        yield m.EPOCH_DUE.family().add(max(0, status.round // epoch_rounds)).exposed
        if status.last_certified_round is not None:
            yield m.CERTIFIED_ROUND.family().add(status.last_certified_round).exposed
        roles = Counter(peer.role for peer in status.peers)
        peers = m.PEERS.family()
        for role in m.PEERS.labels[0].values:
            peers.add(roles[role], (role,))
        yield peers.exposed
        yield from counted(status.counters)

    def _epoch(self, status: NodeStatus | None) -> Iterator[Exposed]:
        newest = self._epochs.newest
        validators = newest.validators
        yield m.SLOT.family().add(self._epochs.genesis.parameters.slot_ms / 1_000).exposed
        yield m.EPOCH.family().add(newest.number).exposed
        members = m.MEMBERS.family().add(len(validators), ("validator",))
        yield members.add(len(newest.encoders), ("encoder",)).exposed
        here = {self._me} | {bytes.fromhex(peer.public_key) for peer in (status.peers if status else ())}
        total = sum(member.stake for member in validators.values())
        connected = sum(member.stake for key, member in validators.items() if key in here)
        stake = m.STAKE.family().add(connected, ("connected",))
        yield stake.add(total - connected, ("absent",)).exposed


class QuorumCollector:
    """What a certificate needs; a validator's."""

    def __init__(self, epochs: Epochs) -> None:
        self._epochs = epochs

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        total = sum(member.stake for member in self._epochs.newest.validators.values())
        if total:
            yield m.QUORUM.family().add(quorum_stake(total) / total).exposed


class OwnPlaceCollector:
    """An encoder's own place in the newest epoch."""

    def __init__(self, epochs: Epochs, me: bytes) -> None:
        self._epochs = epochs
        self._me = me

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        mine = self._epochs.newest.encoders.get(self._me)
        yield m.OWN_REPUTATION.family().add(0 if mine is None else mine.reputation_ppm / PPM).exposed
        yield m.OWN_STAKE.family().add(0 if mine is None else mine.stake).exposed


class DiskCollector:
    """The disk of the data directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        usage = shutil.disk_usage(self._folder)
        yield m.DISK.family().add(usage.total).exposed
        yield m.DISK_FREE.family().add(usage.free).exposed
