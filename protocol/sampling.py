"""Who deals, who is in a shard, and which items are challenged: exact integer draws from a public seed.

No floats anywhere: two machines that disagreed on a rounding would disagree on the members of a shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from protocol.hashing import Xof, digest, keyed_stream, uint

STAKE_MAX: Final = (1 << 63) - 1
POOL_ITEMS_MAX: Final = 1 << 32


class SamplingError(ValueError):
    """Nothing can be drawn: nobody has stake, a key appears twice, or a number is out of range."""


def draw_dealer(seed: bytes, round: int, shard: int, stakes: Sequence[tuple[bytes, int]]) -> bytes:
    """Return the validator that deals this shard in this round, drawn in proportion to stake.

    The order of `stakes` does not matter, zero stake is never drawn. Raises SamplingError.
    """
    return _draw_by_stake(_stream("dealer", seed, uint(round), uint(shard)), stakes, 1)[0]


def draw_shard(
    seed: bytes, round: int, shard: int, stakes: Sequence[tuple[bytes, int]], size: int
) -> tuple[bytes, ...]:
    """Return `size` different encoders in the order drawn, each by stake among those not drawn yet.

    Everybody with stake when there are fewer than `size`. The order of `stakes` does not matter, zero stake
    is never drawn. Raises SamplingError.
    """
    if size < 1:
        raise SamplingError(f"a shard has at least one encoder, not {size}: raise the shard size in genesis")
    return _draw_by_stake(_stream("shard", seed, uint(round), uint(shard)), stakes, size)


def draw_indices(seed: bytes, dealer: bytes, pool_size: int, start: int, count: int) -> tuple[int, ...]:
    """Return the slice [start : start + count] of the dealer's permutation of range(pool_size).

    Uniform over all permutations, and one for every slice: slices that do not overlap share no index.
    Shorter than `count` where the pool ends. Costs O(start + count), whatever the pool. Raises SamplingError.
    """
    if not 0 <= pool_size <= POOL_ITEMS_MAX:
        raise SamplingError(f"a pool has 0 to {POOL_ITEMS_MAX} items, not {pool_size}: split the corpus")
    if start < 0 or count < 0:
        raise SamplingError(f"cannot take {count} items from number {start} on: neither may be negative")
    stream = _stream("indices", seed, dealer, uint(pool_size))
    # Fisher-Yates from the left, holding only the places that differ from the identity.
    moved: dict[int, int] = {}
    drawn = []
    for i in range(min(start + count, pool_size)):
        j = i + stream.below(pool_size - i)
        value = moved.pop(j, j)
        if j != i:
            moved[j] = moved.pop(i, i)
        drawn.append(value)
    return tuple(drawn[start:])


def _stream(purpose: str, *parts: bytes) -> Xof:
    return keyed_stream(digest(f"sampling {purpose}", *parts), purpose)


def _draw_by_stake(stream: Xof, stakes: Sequence[tuple[bytes, int]], size: int) -> tuple[bytes, ...]:
    """Draw up to `size` keys without replacement in O((n + size) log n)."""
    members = sorted(member for member in stakes if _checked_stake(member))
    keys = [key for key, _ in members]
    if len(set(keys)) != len(keys):
        raise SamplingError(
            "a key appears twice among the stakes: each member is listed once, with all its stake"
        )
    if not members:
        raise SamplingError("nobody has stake: wait for an epoch with at least one bonded member")
    tree = _StakeTree([stake for _, stake in members])
    return tuple(keys[tree.remove_at(stream.below(tree.total))] for _ in range(min(size, len(keys))))


def _checked_stake(member: tuple[bytes, int]) -> bool:
    key, stake = member
    if not 0 <= stake <= STAKE_MAX:
        raise SamplingError(f"member {key.hex()} has stake {stake}: stakes are 0 to {STAKE_MAX}")
    return stake > 0


class _StakeTree:
    """Fenwick tree of stakes: finds and removes the member at a point of the cumulated stake in O(log n)."""

    def __init__(self, stakes: Sequence[int]) -> None:
        self.total = sum(stakes)
        self._stakes = stakes
        self._sums = [0, *stakes]  # number i, from 1, holds the sum of the last (i & -i) stakes up to i
        for i in range(1, len(self._sums)):
            parent = i + (i & -i)
            if parent < len(self._sums):
                self._sums[parent] += self._sums[i]

    def remove_at(self, point: int) -> int:
        """Remove the member whose stretch of range(total) holds `point`; return its index."""
        index, step = 0, 1 << (len(self._stakes).bit_length() - 1)
        while step:
            if index + step < len(self._sums) and self._sums[index + step] <= point:
                index += step
                point -= self._sums[index]
            step //= 2
        stake, i = self._stakes[index], index + 1
        self.total -= stake
        while i < len(self._sums):
            self._sums[i] -= stake
            i += i & -i
        return index
