"""What the node and its API process say to each other: length-prefixed canonical frames over two pipes.

To the process: first a `Setup`, then `Tidings`; an empty frame asks it to stop in order, and a pipe that
closes without one says that the node is gone. From the process: `Said`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec

from node.status import NodeStatus
from protocol.codec import Natural, Record

KEPT_EVENTS: Final = 1_024
"""Newest events that the node keeps for an API process that is slow or starts again, and that for its
listeners."""
EVENT_BYTES_MAX: Final = 16 << 10
EVENTS_A_FRAME: Final = 128
FRAME_BYTES_MAX: Final = 32 << 20
"""The largest is a setup with every kept event and a status of 4,096 peers."""
SAID_BYTES_MAX: Final = 64
STOP: Final = b""


class Told(Record, frozen=True):
    """One event, numbered by the node: numbers follow one another until it starts again."""

    id: Natural
    kind: str
    text: Annotated[bytes, msgspec.Meta(max_length=EVENT_BYTES_MAX)]
    """JSON on one line."""


class Measured(Record, frozen=True):
    """What the node counts in its own memory, at one moment."""

    exposition: bytes
    """In Prometheus' text format."""
    queues: tuple[tuple[str, int, int | None], ...]
    """Name, length, bound; these are shown among those of the API."""
    blobs_bytes: int
    scoring_pid: int
    """0 while no scoring process runs."""


class Tidings(Record, frozen=True):
    """What is new: events in order, and the newest of the rest."""

    events: tuple[Told, ...]
    status: NodeStatus | None
    measured: Measured | None


class Setup(Record, frozen=True):
    """The first frame: what to serve, where, and what has happened so far."""

    settings: bytes
    """JSON, of all layers together."""
    genesis: bytes
    node_pid: int
    listening_fd: int
    """A listening socket that the process inherits."""
    last_id: Natural
    """Of the event before the first that is told here, or of the newest where there is none."""
    first: Tidings
    """All that is kept."""


class Word(StrEnum):
    """What the process has to say."""

    READY = "ready"
    """It serves."""
    ALIVE = "alive"
    """Its loop turns; said every second."""
    SUBMITTED = "submitted"
    """Items were submitted."""


class Said(Record, frozen=True):
    """A word."""

    word: Word


def told(number: int, kind: str, data: Mapping[str, Any]) -> Told:
    """An event as it travels. Raises ValueError where it is larger than EVENT_BYTES_MAX."""
    # JSON without a line break in it: one `data` line of server-sent events.
    text = msgspec.json.encode(data)
    if len(text) > EVENT_BYTES_MAX:
        raise ValueError(f"an event of {len(text)} bytes is over the limit of {EVENT_BYTES_MAX}")
    return Told(number, kind, text)
