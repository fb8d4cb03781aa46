"""What each node does in a round, counted where it happens, and the means over nodes with the same part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Self


class Part(StrEnum):
    """What a node is in one round."""

    DEALER = "dealer"
    """A validator that deals one of the round's shards."""
    VALIDATOR = "other validator"
    SAMPLED = "sampled encoder"
    """An encoder in exactly one of the round's shards; those in several are left out of the means."""
    UNSAMPLED = "unsampled encoder"


@dataclass
class Tally:
    """Counts of one node, or sums over several."""

    judged: float = 0
    """Statements judged: each once by gossip, and once more when it was also handed over a stream."""
    published_rounds: float = 0
    forwarded_rounds: float = 0
    published_rounds_bytes: float = 0
    forwarded_rounds_bytes: float = 0
    published_votes: float = 0
    forwarded_votes: float = 0
    published_votes_bytes: float = 0
    forwarded_votes_bytes: float = 0
    stream_in: float = 0
    """Messages over streams: statements handed over, requests for blobs, and blobs."""
    stream_out: float = 0
    stream_in_bytes: float = 0
    stream_out_bytes: float = 0
    signed: float = 0
    verified: float = 0
    """Signatures that this node has to verify; asked again about the same one it remembers."""
    cpu_ns: float = 0
    """Rules, machines, audit and the stand-in for scoring; nearly all signatures come from memory."""

    def add(self, other: Tally) -> None:
        """Add somebody else's counts."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def over(self, count: float) -> Self:
        """The mean of a sum over `count` nodes."""
        return type(self)(**{each.name: getattr(self, each.name) / count for each in fields(self)})


@dataclass
class Meter:
    """Sums by part. Bounded by the parts; a node's own tally is taken and begun anew every round."""

    sums: dict[Part, Tally] = field(default_factory=lambda: {part: Tally() for part in Part})
    nodes: dict[Part, int] = field(default_factory=lambda: dict.fromkeys(Part, 0))
    """How many (node, round) each sum holds."""

    def take(self, part: Part, tallies: Iterable[Tally]) -> None:
        """Count nodes of one part and round."""
        for tally in tallies:
            self.sums[part].add(tally)
            self.nodes[part] += 1

    def means(self) -> dict[Part, Tally]:
        """A node's mean round, for every part that was played."""
        return {part: self.sums[part].over(count) for part, count in self.nodes.items() if count}
