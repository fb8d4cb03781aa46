"""What a gossiped statement costs, in copies sent, by how the members are wired.

Gossipsub floods a mesh: who publishes sends to each of its `degree` mesh peers, and who gets a statement for
the first time sends it on to all of them but the one it came from. So n members send
`degree + (n - 1) (degree - 1)` copies, in whatever order they arrive, and each gets `degree - 1` in the mean.
Copies but the first are dropped by their id, unread. Announcements (IHAVE), acknowledgements and framing are
not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Wiring(StrEnum):
    """Who has whom in its mesh."""

    MESH = "mesh"
    """As nodes are: each follower of a topic has `degree` mesh peers; encoders relay to encoders."""
    HUBS = "hubs"
    """Encoders dial validators only, `degree` of which have them in their mesh; nobody is refused there."""
    DIRECT = "direct"
    """Who says something sends it to everyone itself; nobody forwards."""


@dataclass(frozen=True)
class Mesh:
    """The followers of one topic: some or all validators, and some or no encoders."""

    wiring: Wiring
    degree: int
    validators: int
    encoders: int

    def peers(self, *, of_validator: bool) -> float:
        """Mesh peers of one node, in the mean."""
        followers = self.validators + self.encoders
        match self.wiring:
            case Wiring.MESH:
                return min(self.degree, followers - 1)
            case Wiring.HUBS:
                grafted = min(self.degree, self.validators)
                if not of_validator:
                    return grafted
                # Nobody prunes, so whoever grafts is let in.
                return min(self.degree, self.validators - 1) + self.encoders * grafted / self.validators
            case Wiring.DIRECT:
                return followers - 1

    def copies(self, published: float, forwarded: float, *, of_validator: bool) -> float:
        """Copies a node sends of what it publishes and of what it forwards (or as many bytes)."""
        peers = self.peers(of_validator=of_validator)
        onwards = 0.0 if self.wiring is Wiring.DIRECT else max(0.0, peers - 1)
        return published * peers + forwarded * onwards
