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
    seed: bytes, round: int, shard: int, stakes: Sequence[tuple[bytes, int]] | StakeTable, size: int
) -> tuple[bytes, ...]:
    """Return `size` different encoders in the order drawn, each by stake among those not drawn yet.

    Everybody with stake when there are fewer than `size`. The order of `stakes` does not matter, zero stake
    is never drawn; who draws often makes a StakeTable of them once. Raises SamplingError.
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


def _draw_by_stake(
    stream: Xof, stakes: Sequence[tuple[bytes, int]] | StakeTable, size: int
) -> tuple[bytes, ...]:
    table = stakes if isinstance(stakes, StakeTable) else StakeTable(stakes)
    return table.draw(stream, size)


def _checked_stake(member: tuple[bytes, int]) -> bool:
    key, stake = member
    if not 0 <= stake <= STAKE_MAX:
        raise SamplingError(f"member {key.hex()} has stake {stake}: stakes are 0 to {STAKE_MAX}")
    return stake > 0


class StakeTable:
    """Members by stake, prepared once in O(n log n) for draws of O(size log n) each. Immutable."""

    def __init__(self, stakes: Sequence[tuple[bytes, int]]) -> None:
        """The order of `stakes` does not matter, zero stake is never drawn. Raises SamplingError."""
        members = sorted(member for member in stakes if _checked_stake(member))
        self._keys = [key for key, _ in members]
        if len(set(self._keys)) != len(self._keys):
            raise SamplingError(
                "a key appears twice among the stakes: each member is listed once, with all its stake"
            )
        if not members:
            raise SamplingError("nobody has stake: wait for an epoch with at least one bonded member")
        self._stakes = [stake for _, stake in members]
        self._total = sum(self._stakes)
        # A Fenwick tree: number i, from 1, holds the sum of the last (i & -i) stakes up to i.
        self._sums = [0, *self._stakes]
        for i in range(1, len(self._sums)):
            parent = i + (i & -i)
            if parent < len(self._sums):
                self._sums[parent] += self._sums[i]

    def draw(self, stream: Xof, size: int) -> tuple[bytes, ...]:
        """Up to `size` different keys in the order drawn, each by stake among those not drawn yet."""
        total, drawn = self._total, []
        taken: dict[int, int] = {}  # place in the tree -> stake drawn of its sum: the tree itself is shared
        for _ in range(min(size, len(self._keys))):
            index = self._at(stream.below(total), taken)
            stake = self._stakes[index]
            total -= stake
            i = index + 1
            while i < len(self._sums):
                taken[i] = taken.get(i, 0) + stake
                i += i & -i
            drawn.append(self._keys[index])
        return tuple(drawn)

    def _at(self, point: int, taken: dict[int, int]) -> int:
        """Index of the member whose stretch of range(what is left) holds `point`, in O(log n)."""
        index, step = 0, 1 << (len(self._stakes).bit_length() - 1)
        while step:
            place = index + step
            if place < len(self._sums):
                left = self._sums[place] - taken.get(place, 0)
                if left <= point:
                    index = place
                    point -= left
            step //= 2
        return index
