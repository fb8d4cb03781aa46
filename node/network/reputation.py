"""Penalties by public key: decaying, bounded, and the bans that follow from them.

py-libp2p forgets a peer's score when it reconnects and never refuses its connections for it, so the table is
ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.network.limits import NetworkLimits


@dataclass(slots=True)
class _Record:
    penalty: float = 0.0
    at_s: float = 0.0
    banned_until_s: float = 0.0


class Reputation:
    """What each key has done lately. Time is passed in, in seconds of a monotonic clock."""

    def __init__(self, limits: NetworkLimits) -> None:
        self._limits = limits
        self._records: dict[bytes, _Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def penalty(self, key: bytes, now_s: float) -> float:
        """The decayed sum of the penalties of `key`."""
        record = self._records.get(key)
        return 0.0 if record is None else self._decayed(record, now_s)

    def penalise(self, key: bytes, cost: float, now_s: float) -> bool:
        """Add `cost`; True when this penalty exhausted the budget and banned the key."""
        record = self._record(key, now_s)
        record.penalty = self._decayed(record, now_s) + max(0.0, cost)
        record.at_s = now_s
        if record.penalty < self._limits.penalty_budget or record.banned_until_s > now_s:
            return False
        record.banned_until_s = now_s + self._limits.ban_s
        # A clean slate after the ban, or the first slip after it would ban again.
        record.penalty = 0.0
        return True

    def ban(self, key: bytes, seconds: float, now_s: float) -> None:
        """Refuse `key` for `seconds` from now."""
        record = self._record(key, now_s)
        record.banned_until_s = max(record.banned_until_s, now_s + seconds)

    def unban(self, key: bytes) -> None:
        """Forget everything held against `key`."""
        self._records.pop(key, None)

    def is_banned(self, key: bytes, now_s: float) -> bool:
        """Whether `key` is refused now."""
        record = self._records.get(key)
        return record is not None and record.banned_until_s > now_s

    def _decayed(self, record: _Record, now_s: float) -> float:
        halvings = max(0.0, now_s - record.at_s) / self._limits.penalty_half_life_s
        return record.penalty * float(0.5 ** min(halvings, 64.0))

    def _record(self, key: bytes, now_s: float) -> _Record:
        record = self._records.get(key)
        if record is None:
            if len(self._records) >= self._limits.reputations_max:
                self._evict(now_s)
            record = self._records[key] = _Record(at_s=now_s)
        return record

    def _evict(self, now_s: float) -> None:
        # The least guilty goes: first those not banned, then those whose ban ends soonest.
        def guilt(key: bytes) -> tuple[float, float]:
            record = self._records[key]
            return (max(0.0, record.banned_until_s - now_s), self._decayed(record, now_s))

        del self._records[min(self._records, key=guilt)]
