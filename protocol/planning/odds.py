"""The chances of one shard of equally drawn nodes, exactly: integers over one binomial coefficient.

A shard of n of N nodes holds b bad, f offline and h other honest ones. It is *taken over* when b > h: more
than half of those who answer are bad, for bad nodes answer when that wins. It *stalls* below a quorum of q
answers, where bad nodes are silent, for that hurts then: b + f > n - q. Drawing n of N without replacement
makes (b, f, h) multivariate hypergeometric: C(B, b) C(F, f) C(H, h) / C(N, n).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Self

from protocol.planning.errors import PlanError

NODES_MAX: Final = 1_000_000
"""Keeps the integers at some 20,000 bits."""


@dataclass(frozen=True, slots=True)
class Population:
    """How many nodes a shard is drawn from, how many of them are bad, and how many honest ones offline."""

    nodes: int
    bad: int
    offline: int

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= NODES_MAX:
            raise PlanError(f"a network of {self.nodes} nodes cannot be planned: give 1 to {NODES_MAX:,}")
        if self.bad < 0 or self.offline < 0 or self.bad + self.offline > self.nodes:
            raise PlanError(
                f"{self.bad} bad and {self.offline} offline nodes do not fit {self.nodes}: lower one of them"
            )

    @classmethod
    def of_shares(cls, nodes: int, byzantine: Fraction, offline: Fraction) -> Self:
        """The population of two shares of its nodes, rounded down: a third of 100 is 33. Raises PlanError."""
        for name, share in (("byzantine", byzantine), ("offline", offline)):
            if not 0 <= share <= 1:
                raise PlanError(f"the {name} share {float(share):g} is none: give 0 to 1, such as 0.2 or 1/3")
        return cls(nodes, int(byzantine * nodes), int(offline * nodes))

    @property
    def honest(self) -> int:
        """Nodes neither bad nor offline."""
        return self.nodes - self.bad - self.offline

    @property
    def silent(self) -> int:
        """Nodes that do not answer when the bad ones want a stall."""
        return self.bad + self.offline


class ShardOdds:
    """The exact chances of every shard size of one population; memory grows with the largest asked for."""

    def __init__(self, population: Population) -> None:
        self.population = population
        # Number m: how many sets of m nodes that are not offline have more (from half on) bad than honest.
        self._majorities: list[int] = []
        self._halves: list[int] = []
        self._rows: dict[int, list[int]] = {}  # C(n, 0), C(n, 1), ... of the few n in use

    def takeover(self, size: int) -> Fraction:
        """Chance that more than half of those who answer are bad. Raises PlanError."""
        self._extend(size)
        return self._over_offline(size, self._majorities)

    def takeover_under(self, size: int, limit: Fraction) -> bool:
        """Whether `takeover(size)` is under `limit`, mostly without adding it up. Raises PlanError."""
        self._extend(size)
        nodes, offline = self.population.nodes, self.population.offline
        # One term, with about the expected number offline, often is over the limit alone.
        likely = max(size - (nodes - offline), offline * size // nodes)
        ways = self._choose(offline, likely) * self._majorities[size - likely]
        if ways * limit.denominator >= limit.numerator * self._choose(nodes, size):
            return False
        return self.takeover(size) < limit

    def takeover_or_tie(self, size: int) -> Fraction:
        """Chance that at least half of those who answer are bad (0 of 0 counts). Raises PlanError."""
        self._extend(size)
        return self._over_offline(size, self._halves)

    def stall(self, size: int, quorum: int) -> Fraction:
        """Chance that fewer than `quorum` of `size` answer, the bad being silent. Raises PlanError."""
        self._check(size, quorum)
        return self._tail(size, self.population.silent, size - quorum)

    def stall_under(self, size: int, quorum: int, limit: Fraction) -> bool:
        """Whether `stall(size, quorum)` is under `limit`, mostly without adding it up. Raises PlanError."""
        self._check(size, quorum)
        nodes, silent = self.population.nodes, self.population.silent
        likely = max(size - quorum + 1, size - (nodes - silent), silent * size // nodes)
        ways = 0
        if likely <= size:
            ways = self._choose(silent, likely) * self._choose(nodes - silent, size - likely)
        if ways * limit.denominator >= limit.numerator * self._choose(nodes, size):
            return False
        return self.stall(size, quorum) < limit

    def censored(self, size: int, quorum: int) -> Fraction:
        """Chance that bad ones are more than half of a quorum: who may drop honest answers wins then."""
        self._check(size, quorum)
        return self._tail(size, self.population.bad, quorum // 2)

    def quorum(self, size: int, stall: Fraction) -> int:
        """The largest quorum with a stall chance under `stall`, 0 when there is none. Raises PlanError."""
        self._check(size, 0)
        nodes, silent = self.population.nodes, self.population.silent
        ways, all_ways = 0, self._choose(nodes, size)
        # A quorum of q stalls when size - q + 1 or more are silent: add up from all silent downwards.
        for silent_drawn in range(size, -1, -1):
            ways += self._choose(silent, silent_drawn) * self._choose(nodes - silent, size - silent_drawn)
            if ways * stall.denominator >= stall.numerator * all_ways:
                return size - silent_drawn
        return size

    def _tail(self, size: int, marked: int, more_than: int) -> Fraction:
        """Chance that more than `more_than` of the shard are among `marked` nodes."""
        nodes = self.population.nodes
        last = min(size, marked)
        ways = sum(
            self._choose(marked, k) * self._choose(nodes - marked, size - k)
            for k in range(more_than + 1, last + 1)
        )
        return Fraction(ways, self._choose(nodes, size))

    def _over_offline(self, size: int, sets: list[int]) -> Fraction:
        offline = self.population.offline
        ways = sum(
            self._choose(offline, drawn) * sets[size - drawn] for drawn in range(min(size, offline) + 1)
        )
        return Fraction(ways, self._choose(self.population.nodes, size))

    def _extend(self, size: int) -> None:
        """Fill the tables up to `size`, each entry from the one before in a handful of operations.

        A(m, k), the sets of m with more than k bad: every set of m + 1 is a set of m and one node, counted
        m + 1 times, so (m + 1) A(m + 1, k) = (B + H - m) A(m, k) + (B - k) #(exactly k bad of m).
        """
        self._check(size, 0)
        bad, honest = self.population.bad, self.population.honest
        if not self._majorities:
            self._majorities.append(0)
            self._halves.append(1)
        while len(self._majorities) <= size:
            m, k = len(self._majorities) - 1, (len(self._majorities) - 1) // 2
            exactly = self._choose(bad, k) * self._choose(honest, m - k)
            grown = ((bad + honest - m) * self._majorities[m] + (bad - k) * exactly) // (m + 1)
            m, tied = m + 1, 0
            if m % 2 == 0:
                # From an odd m the bar k rises by one with m + 1: its sets of exactly m / 2 are ties.
                tied = self._choose(bad, m // 2) * self._choose(honest, m // 2)
                grown -= tied
            self._majorities.append(grown)
            self._halves.append(grown + tied)

    def _choose(self, of: int, count: int) -> int:
        """C(of, count), each row grown once: asking `math.comb` anew makes a search much slower."""
        row = self._rows.setdefault(of, [1])
        while len(row) <= count:
            row.append(row[-1] * (of - len(row) + 1) // len(row))
        return row[count]

    def _check(self, size: int, quorum: int) -> None:
        if not 1 <= size <= self.population.nodes:
            raise PlanError(f"a shard of {size} cannot be drawn from {self.population.nodes} nodes")
        if not 0 <= quorum <= size:
            raise PlanError(f"a quorum of {quorum} is no part of a shard of {size}: give 0 to {size}")
