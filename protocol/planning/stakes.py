"""Stakes as an attacker would hold them, and what share of a shard's seats they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import cached_property
from math import expm1
from typing import Final

from protocol.planning.errors import PlanError
from protocol.planning.odds import NODES_MAX

STAKE_MAX: Final = (1 << 53) - 1
"""As in genesis."""
_BISECTIONS: Final = 50


class Holdings:
    """The stakes of a network in rising order, the first `bad` of them the attacker's.

    A share of the stake takes most seats spread over the smallest nodes: sampling is without replacement, so
    a large one fills one seat only. So these are the bad ones, as many as their share of the stake covers.
    Raises PlanError.
    """

    def __init__(self, stakes: Sequence[int], byzantine: Fraction, offline: Fraction) -> None:
        if not 1 <= len(stakes) <= NODES_MAX:
            raise PlanError(f"{len(stakes)} stakes cannot be planned with: give 1 to {NODES_MAX:,}")
        if not all(1 <= stake <= STAKE_MAX for stake in stakes):
            raise PlanError(f"a stake is outside 1 to {STAKE_MAX}: correct it, or leave the node out")
        for name, share in (("byzantine", byzantine), ("offline", offline)):
            if not 0 <= share <= 1:
                raise PlanError(f"the {name} share {float(share):g} is none: give 0 to 1, such as 0.2 or 1/3")
        if byzantine + offline > 1:
            raise PlanError("the byzantine and the offline share exceed all stake: lower one of them")
        self.stakes = tuple(sorted(stakes))
        self.total = sum(self.stakes)
        self.offline_stake_max = int(offline * self.total)
        """What honest nodes hold that do not answer, at most; which ones, every draw decides anew."""
        self.bad = _covered(self.stakes, int(byzantine * self.total))

    @property
    def nodes(self) -> int:
        """How many there are."""
        return len(self.stakes)

    @property
    def are_equal(self) -> bool:
        """Whether sampling by stake is sampling uniformly, so that exact arithmetic says all."""
        return self.stakes[0] == self.stakes[-1]

    @property
    def largest_share(self) -> Fraction:
        """Of all stake, what the richest node holds."""
        return Fraction(self.stakes[-1], self.total)

    @cached_property
    def offline_nodes_max(self) -> int:
        """The most honest nodes that the offline stake can be."""
        return _covered(self.stakes[self.bad :], self.offline_stake_max)

    def bad_seats(self, size: int) -> float:
        """The share of bad ones in a shard of `size`, expected, within about a seat.

        Sampling by stake without replacement takes whoever's exponential clock of rate `stake` rings first:
        by the time t at which sum(1 - exp(-stake t)) = size, each is in with chance 1 - exp(-stake t).
        """
        bad, honest = self._seats(1.0, size)
        return bad / (bad + honest)

    def tilt(self, size: int) -> float:
        """The factor on bad stakes that makes bad and answering honest seats equal in expectation; >= 1."""
        low, high = 1.0, 64.0
        if not self._lacks(high, size):
            for _ in range(_BISECTIONS):
                middle = (low * high) ** 0.5
                low, high = (middle, high) if self._lacks(middle, size) else (low, middle)
        return high

    def _lacks(self, factor: float, size: int) -> bool:
        bad, honest = self._seats(factor, size)
        honest_stake = sum(self.stakes[self.bad :])
        return bad < honest * (1 - self.offline_stake_max / honest_stake if honest_stake else 0)

    def _seats(self, factor: float, size: int) -> tuple[float, float]:
        """Expected bad and honest seats when bad stakes count `factor` times."""
        if size >= self.nodes:
            return float(self.bad), float(self.nodes - self.bad)
        bad, honest = self._groups
        low, high = 0.0, 1e3 * self.total
        for _ in range(4 * _BISECTIONS):
            time = (low + high) / 2 if low else high / 1e3
            taken = _rung(bad, factor * time), _rung(honest, time)
            if high - low < 1e-9 * high:
                break
            low, high = (time, high) if sum(taken) < size else (low, time)
        return taken

    @cached_property
    def _groups(self) -> tuple[Counter[float], Counter[float]]:
        """How often each stake occurs, as a share of all, among the bad and the honest."""
        shares = [stake / self.total for stake in self.stakes]
        return Counter(shares[: self.bad]), Counter(shares[self.bad :])


def _covered(stakes: Sequence[int], limit: int) -> int:
    """How many of rising stakes fit `limit` together."""
    count = 0
    for stake in stakes:
        limit -= stake
        if limit < 0:
            break
        count += 1
    return count


def _rung(groups: Counter[float], time: float) -> float:
    return sum(-expm1(-share * time) * count for share, count in groups.items())
