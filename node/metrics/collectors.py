"""What is read when somebody scrapes: status, queues, members, disk. Nothing waits for the node's loop."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric as Exposed

from node.clock import now_ms
from node.metrics import catalogue as m
from node.metrics import network_catalogue as n
from node.metrics.counted import counted
from node.metrics.metric import Family
from node.status import NodeStatus
from protocol.epochs.view import Epoch
from protocol.quorum import quorum_stake

PPM: Final = 1_000_000

ReadStatus = Callable[[], NodeStatus | None]
Newest = Callable[[], Epoch]
"""The newest epoch known."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of the node: how long it is now, and at most."""

    length: Callable[[], int]
    limit: int | None


class QueueCollector:
    """The queues a node has told of, by their names in the catalogue."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}
        self._more: Callable[[], Iterable[tuple[str, Queue]]] = tuple

    def watch(self, name: str, length: Callable[[], int], limit: int | None = None) -> None:
        """Show a queue from now on; `length` is called from another thread.

        Without a limit it is bounded by what is open: rounds, requests.
        """
        assert name in m.QUEUES, f"{name} is no queue of the catalogue"
        self._queues[name] = Queue(length, limit)

    def watch_more(self, more: Callable[[], Iterable[tuple[str, Queue]]]) -> None:
        """Show these too, asked for whenever somebody scrapes."""
        self._more = more

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        lengths, limits = m.QUEUE.family(), m.QUEUE_LIMIT.family()
        for name, queue in (*self._queues.items(), *self._more()):
            lengths.add(queue.length(), (name,))
            if queue.limit is not None:
                limits.add(queue.limit, (name,))
        yield lengths.exposed
        yield limits.exposed


class StatusCollector:
    """What the node's loop tells of itself every second: peers, counters, rounds."""

    def __init__(self, read: ReadStatus, newest: Newest) -> None:
        self._read = read
        self._newest = newest

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        status = self._read()
        newest = self._newest()
        yield m.SLOT.family().add(newest.parameters.slot_ms / 1_000).exposed
        yield m.EPOCH.family().add(newest.number).exposed
        members = m.MEMBERS.family().add(len(newest.validators), ("validator",))
        yield members.add(len(newest.encoders), ("encoder",)).exposed
        if status is None:
            return
        yield m.STATUS_AGE.family().add((now_ms() - status.updated_ms) / 1_000).exposed
        yield m.ROUND.family().add(status.round).exposed
        yield m.EPOCH_DUE.family().add(max(0, status.round // newest.parameters.epoch_rounds)).exposed
        if status.last_certified_round is not None:
            yield m.CERTIFIED_ROUND.family().add(status.last_certified_round).exposed
        roles = Counter(peer.role for peer in status.peers)
        peers = n.PEERS.family()
        for role in n.PEERS.labels[0].values:
            peers.add(roles[role], (role,))
        yield peers.exposed
        yield _stake(newest, status).exposed
        yield from counted(status.counters)


def _stake(newest: Epoch, status: NodeStatus) -> Family:
    """By whether who has it is this node or connected to it."""
    here = {bytes.fromhex(key) for key in (status.public_key, *(peer.public_key for peer in status.peers))}
    connected = sum(stake for key, stake in newest.validator_stakes if key in here)
    absent = newest.total_stake - connected
    return m.STAKE.family().add(connected, ("connected",)).add(absent, ("absent",))


class QuorumCollector:
    """What a certificate needs; a validator's."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        total = self._newest().total_stake
        if total:
            yield m.QUORUM.family().add(quorum_stake(total) / total).exposed


class OwnPlaceCollector:
    """An encoder's own place in the newest epoch."""

    def __init__(self, newest: Newest, me: bytes) -> None:
        self._newest = newest
        self._me = me

    def collect(self) -> Iterator[Exposed]:
        """Called by the registry."""
        mine = self._newest().encoders.get(self._me)
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
