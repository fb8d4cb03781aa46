"""The slots of which each holds one statement."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.evidence import VOTE_KINDS
from protocol.hashing import digest, uint
from protocol.messages import Kind

_INTEGER_MAX = (1 << 63) - 1  # SQLite's


@dataclass(frozen=True, slots=True)
class VoteSlot:
    """What one vote is for; `wave` is 0 for kinds without waves. ValueError for a kind without slots."""

    kind: str
    epoch: int
    round: int
    shard: int
    wave: int = 0

    def __post_init__(self) -> None:
        if self.kind not in VOTE_KINDS:
            raise ValueError(f"{self.kind!r} has no slot: sign it freely")
        # A member of `Kind` and its text are the same slot.
        object.__setattr__(self, "kind", Kind(self.kind).value)
        for name in ("epoch", "round", "shard", "wave"):
            if not 0 <= getattr(self, name) <= _INTEGER_MAX:
                raise ValueError(f"the {name} of a slot is 0 .. 2**63 - 1, not {getattr(self, name)}")

    def __str__(self) -> str:
        return f"{self.kind} of round {self.round} shard {self.shard} wave {self.wave}"

    def link(self, chain: bytes, digest_signed: bytes) -> bytes:
        """The hash chain [32] after this vote: equal chains mean equal histories."""
        numbers = (uint(self.epoch), uint(self.round), uint(self.shard), uint(self.wave))
        return digest("signer vote", chain, self.kind.encode(), *numbers, digest_signed)
