"""What survives a crash: votes, facts and blobs, on a disk that may fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from node.store.errors import StoreError
from protocol.evidence import Slot
from protocol.rounds import effects as fx


class DiskState(Enum):
    """What a write does."""

    WORKS = "works"
    """It is durable when it returns."""
    REFUSES = "refuses"
    """Nothing is written, and the writer is told so: a full disk."""
    UNSURE = "unsure"
    """It is written and the writer is told that it is not: an fsync that failed late."""
    TORN = "torn"
    """The power goes in the middle of it: the journal takes the write back, and the process is gone."""


class Crash(BaseException):
    """The process ends here. Not an Exception: nothing in a node may survive it."""


class DiskError(StoreError):
    """A write failed; whether it is durable is unknown."""


@dataclass
class Disk:
    """One node's. Facts are bounded by the rounds of a run, blobs by what its rounds provide."""

    state: DiskState = DiskState.WORKS
    votes: dict[Slot, bytes] = field(default_factory=dict)
    closed_round: int = -1
    """No later process votes up to this round, unless it was recorded."""
    facts: list[fx.Fact] = field(default_factory=list)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    pending: dict[bytes, int] = field(default_factory=dict)
    """Submitted items, by the round in which they are dealt, oldest first."""

    def write(self, change: Callable[[], None]) -> None:
        """Make a change durable, whole or not at all. Raises DiskError, Crash."""
        if self.state is DiskState.REFUSES:
            raise DiskError("the disk is full: free some space")
        if self.state is DiskState.TORN:
            self.state = DiskState.WORKS
            raise Crash("in the middle of a write")
        change()
        if self.state is DiskState.UNSURE:
            raise DiskError("the disk reports an error after writing: look at its log")

    def keep(self, name: bytes, data: bytes) -> None:
        """Make a blob durable. Raises DiskError, Crash."""
        if name not in self.blobs:
            self.write(lambda: self.blobs.update({name: data}))

    def record(self, fact: fx.Fact) -> None:
        """Make a fact durable. Raises DiskError, Crash."""
        self.write(lambda: self.facts.append(fact))
