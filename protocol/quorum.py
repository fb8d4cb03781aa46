"""Quorum of stake: two thirds, in integers, so that any two quorums share at least a third of all stake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self


class QuorumError(ValueError):
    """A stake that cannot be, or a key that does not count (the gossip rules drop unknown signers before)."""


def quorum_stake(total_stake: int) -> int:
    """Return the least stake that is at least two thirds of `total_stake`. Raises QuorumError below 1."""
    if total_stake < 1:
        raise QuorumError(f"no quorum exists of a total stake of {total_stake}: bond at least one validator")
    return (2 * total_stake + 2) // 3


def has_quorum(attesting_stake: int, total_stake: int) -> bool:
    """Tell whether `attesting_stake` is at least two thirds of `total_stake`; never of nothing."""
    return total_stake > 0 and 3 * attesting_stake >= 2 * total_stake


@dataclass(frozen=True, slots=True)
class Tally:
    """Who has spoken so far, each key once, and with how much stake. Immutable: `add` returns a new tally."""

    stakes: Mapping[bytes, int]
    """Stake by key of everyone who may speak; bounded by the membership of the epoch."""
    keys: frozenset[bytes] = frozenset()
    """Who has spoken."""
    total_stake: int = field(init=False)
    stake: int = field(init=False)

    def __post_init__(self) -> None:
        negative = [key for key, stake in self.stakes.items() if stake < 0]
        if negative:
            raise QuorumError(
                f"member {min(negative).hex()} has negative stake: fix the membership it comes from"
            )
        unknown = self.keys - self.stakes.keys()
        if unknown:
            raise QuorumError(f"{min(unknown).hex()} is not a member: check the signer before counting it")
        object.__setattr__(self, "stakes", MappingProxyType(dict(self.stakes)))
        object.__setattr__(self, "total_stake", sum(self.stakes.values()))
        object.__setattr__(self, "stake", sum(self.stakes[key] for key in self.keys))

    def add(self, key: bytes) -> Self:
        """Return the tally with `key` counted, itself if it already is. Raises QuorumError for a stranger."""
        if key in self.keys:
            return self
        return type(self)(self.stakes, self.keys | {key})

    @property
    def has_quorum(self) -> bool:
        """Whether those who have spoken hold at least two thirds of the stake."""
        return has_quorum(self.stake, self.total_stake)
