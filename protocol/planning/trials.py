"""Shards drawn by the network's own rule, with the stakes of the bad ones tilted so that rare events show.

A chance of 1e-9 is never seen in a thousand plain draws. So the bad ones' stakes are multiplied until a bad
majority is about as likely as not, `protocol.sampling.draw_shard` draws with these stakes, and every draw
counts with its likelihood ratio, the product over its seats of (true chance of that seat) / (tilted chance):
importance sampling, unbiased whatever the factor (Asmussen and Glynn, Stochastic Simulation, chapter V).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from protocol.hashing import digest, uint
from protocol.planning.errors import PlanError
from protocol.planning.stakes import Holdings
from protocol.sampling import draw_indices, draw_shard

DRAWS_MIN: Final = 100
DRAWS_MAX: Final = 10_000_000
SIGMAS: Final = 3.09
"""Of a bound. A normal variable passes it once in a thousand; weighted draws are skew, and do oftener."""
_HITS_MIN: Final = 30
"""Fewer tell too little of the variance to bound anything."""
_TILT_UNIT: Final = 16
"""Tilted stakes are integers too: honest ones times 16, bad ones times round(16 factor) <= 1024: 63 bits."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A chance as draws show it."""

    chance: float
    error: float
    """Standard error; 0 when the chance is exact."""
    upper: float
    """A bound: 3.09 errors above a takeover's mean, Wilson's for a stall; 1 when too few draws showed it."""


class Trials:
    """Seeded draws from one network: the same seed, the same figures. Raises PlanError."""

    def __init__(self, holdings: Holdings, draws: int, seed: int) -> None:
        if not DRAWS_MIN <= draws <= DRAWS_MAX:
            raise PlanError(
                f"{draws} draws are not within {DRAWS_MIN} to {DRAWS_MAX:,}: choose another number"
            )
        if not 0 <= seed < 1 << 64:
            raise PlanError(f"the seed {seed} does not fit 8 bytes: give 0 to 2**64 - 1")
        self.holdings = holdings
        self.draws = draws
        self._seed = digest("planning", uint(seed))

    def takeover(self, first: int, last: int) -> list[Estimate]:
        """The chance of a takeover for each size from `first` to `last`, best known near `last`."""
        held = self.holdings
        factor = round(_TILT_UNIT * held.tilt(last))
        tilted = [stake * (factor if i < held.bad else _TILT_UNIT) for i, stake in enumerate(held.stakes)]
        sums, squares, hits = [0.0] * (last + 1), [0.0] * (last + 1), [0] * (last + 1)
        for members, offline in self._shards(tilted, last, last):
            ratio, lead = 1.0, 0
            true_left, tilted_left = held.total, sum(tilted)
            for size, i in enumerate(members, 1):
                ratio *= held.stakes[i] * tilted_left / (tilted[i] * true_left)
                true_left -= held.stakes[i]
                tilted_left -= tilted[i]
                lead += 1 if i < held.bad else 0 if i in offline else -1
                if lead > 0 and size >= first:
                    sums[size] += ratio
                    squares[size] += ratio * ratio
                    hits[size] += 1
        return [
            self._estimate(size, sums[size], squares[size], hits[size]) for size in range(first, last + 1)
        ]

    def answers(self, size: int) -> list[list[int]]:
        """For each size from 1 to `size`, how many draws had 0, 1, ... answers with the bad ones silent."""
        held = self.holdings
        counts = [[0] * (n + 1) for n in range(1, size + 1)]
        for members, offline in self._shards(held.stakes, size, 0):
            answering = 0
            for n, i in enumerate(members):
                answering += i >= held.bad and i not in offline
                counts[n][answering] += 1
        return counts

    def proportion(self, hits: int) -> Estimate:
        """The chance of an event seen in `hits` of the draws; Wilson's bound."""
        n, p, z2 = self.draws, hits / self.draws, SIGMAS**2
        spread = SIGMAS * (p * (1 - p) / n + z2 / (4 * n * n)) ** 0.5
        return Estimate(p, (p * (1 - p) / n) ** 0.5, min(1.0, (p + z2 / (2 * n) + spread) / (1 + z2 / n)))

    def _estimate(self, size: int, total: float, squares: float, hits: int) -> Estimate:
        held = self.holdings
        if held.bad == 0 or 2 * held.bad <= size - held.offline_nodes_max:
            return Estimate(0.0, 0.0, 0.0)  # all bad ones together are no majority of those who answer
        mean = total / self.draws
        error = (max(0.0, squares / self.draws - mean * mean) / self.draws) ** 0.5
        return Estimate(mean, error, min(1.0, mean + SIGMAS * error) if hits >= _HITS_MIN else 1.0)

    def _shards(
        self, stakes: Sequence[int], size: int, purpose: int
    ) -> Iterator[tuple[list[int], frozenset[int]]]:
        """Members of each draw in order, as places in the rising stakes, and who is offline in it."""
        members = [(uint(i), stake) for i, stake in enumerate(stakes)]
        for draw in range(self.draws):
            keys = draw_shard(self._seed, draw, purpose, members, size)
            yield [int.from_bytes(key, "big") for key in keys], self._offline(draw, purpose)

    def _offline(self, draw: int, purpose: int) -> frozenset[int]:
        """Honest nodes in a drawn order, each that still fits the offline stake."""
        held = self.holdings
        left, chosen = held.offline_stake_max, []
        order = draw_indices(
            self._seed, uint(draw) + uint(purpose), held.nodes - held.bad, 0, held.offline_nodes_max
        )
        for place in order:
            stake = held.stakes[held.bad + place]
            if stake <= left:
                left -= stake
                chosen.append(held.bad + place)
        return frozenset(chosen)
