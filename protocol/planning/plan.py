"""The smallest shard that keeps a security and a liveness budget, by exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from protocol.genesis import SHARD_SIZE_MAX
from protocol.planning.errors import InfeasibleError, PlanError
from protocol.planning.odds import Population, ShardOdds


@dataclass(frozen=True, slots=True)
class Budget:
    """What the chances of one shard must stay under; raises PlanError unless within 0 and 1, excluded."""

    security: Fraction
    """Of a takeover."""
    liveness: Fraction
    """Of a stall."""

    def __post_init__(self) -> None:
        for name, value in (("security", self.security), ("liveness", self.liveness)):
            if not 0 < value < 1:
                raise PlanError(
                    f"a {name} budget of {float(value):g} says nothing: give a chance between 0 and 1, "
                    "such as 1e-9"
                )


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard size with its quorum, and exactly what they buy."""

    size: int
    quorum: int
    takeover: Fraction
    takeover_or_tie: Fraction
    """The same, with as many bad as honest answers counted too; differs at even sizes only."""
    stall: Fraction
    censored: Fraction
    """Chance that a dealer who drops honest answers down to the quorum has a bad majority left."""


def quorum_of_share(size: int, share: Fraction) -> int:
    """The fewest answers that are at least `share` of a shard."""
    return -int(-share * size // 1)


def evaluate(odds: ShardOdds, size: int, quorum: int) -> ShardPlan:
    """What a given size and quorum buy. Raises PlanError."""
    return ShardPlan(
        size,
        quorum,
        odds.takeover(size),
        odds.takeover_or_tie(size),
        odds.stall(size, quorum),
        odds.censored(size, quorum),
    )


def plan_shard(
    population: Population,
    budget: Budget,
    quorum_share: Fraction | None = None,
    size_max: int = SHARD_SIZE_MAX,
) -> ShardPlan:
    """The first size, from 1, whose takeover chance and stall chance are both under budget.

    The quorum is the largest that the liveness budget allows, and more than half of the shard; with
    `quorum_share` it is that share of the size, rounded up. The next larger size may fail again: an odd shard
    is taken over a little more easily than the even one before. Raises InfeasibleError, PlanError.
    """
    if quorum_share is not None and not 0 < quorum_share <= 1:
        raise PlanError(f"a quorum of {float(quorum_share):g} of a shard is none: give a share such as 2/3")
    odds = ShardOdds(population)
    size = _first_size(odds, budget, quorum_share, range(1, min(population.nodes, size_max) + 1))
    if size is not None:
        return evaluate(odds, size, live_quorum(odds, size, budget.liveness, quorum_share))
    raise _infeasible(population, budget, quorum_share, size_max)


def live_quorum(odds: ShardOdds, size: int, liveness: Fraction, quorum_share: Fraction | None) -> int:
    """The quorum of `plan_shard` at one size, 0 when none is live enough."""
    least = size // 2 + 1 if quorum_share is None else quorum_of_share(size, quorum_share)
    if not odds.stall_under(size, least, liveness):
        return 0
    return odds.quorum(size, liveness) if quorum_share is None else least


def _first_size(
    odds: ShardOdds, budget: Budget, quorum_share: Fraction | None, sizes: Iterable[int]
) -> int | None:
    for size in sizes:
        if odds.takeover_under(size, budget.security) and live_quorum(
            odds, size, budget.liveness, quorum_share
        ):
            return size
    return None


def _infeasible(
    population: Population, budget: Budget, quorum_share: Fraction | None, size_max: int
) -> InfeasibleError:
    """The error that says which budget fails at the best size, and which change alone would do."""

    def safe_at(odds: ShardOdds, size: int) -> bool:
        return odds.takeover_under(size, budget.security)

    def live_at(odds: ShardOdds, size: int) -> bool:
        return live_quorum(odds, size, budget.liveness, quorum_share) > 0

    def holds(changed: Population, *checks: Callable[[ShardOdds, int], bool]) -> bool:
        # Large shards are the safest and steadiest; the last two sizes are one of each parity.
        odds, last = ShardOdds(changed), min(changed.nodes, size_max)
        return any(all(check(odds, size) for check in checks) for size in {last, max(1, last - 1)})

    def both(changed: Population) -> bool:
        return holds(changed, safe_at, live_at)

    failing: Literal["security", "liveness"] = "liveness" if holds(population, safe_at) else "security"
    limit = min(population.nodes, size_max)
    odds = ShardOdds(population)
    if failing == "security":
        best = min((odds.takeover(size), size) for size in {limit, max(1, limit - 1)})
        wrong = f"the chance of a takeover is still {float(best[0]):.2g} with {best[1]:,} of them"
        asked = f"under {float(budget.security):.2g}"
    else:
        quorum = limit // 2 + 1 if quorum_share is None else quorum_of_share(limit, quorum_share)
        wrong = f"a quorum of {quorum:,} stalls with a chance of {float(odds.stall(limit, quorum)):.2g}"
        asked = f"under {float(budget.liveness):.2g}"
    ways = list(_ways_out(population, size_max, both))
    advice = "; what would do, each alone: " + ", ".join(ways) if ways else "; no single change would do"
    return InfeasibleError(
        f"no shard of up to {limit:,} of {population.nodes:,} nodes keeps the {failing} budget ({asked}): "
        f"{wrong}{advice}",
        failing,
    )


def _ways_out(population: Population, size_max: int, feasible: Callable[[Population], bool]) -> Iterable[str]:
    """The least change of bad, offline and all nodes that makes a plan possible, as the options say it."""
    nodes = population.nodes
    for name, option in (("bad", "--byzantine"), ("offline", "--offline")):
        now = getattr(population, name)
        if now and feasible(replace(population, **{name: 0})):

            def lowered(count: int, name: str = name) -> bool:
                return feasible(replace(population, **{name: count}))

            most = _last_true(0, now, lowered)
            yield f"{option} {most}/{nodes}"

    def scaled(count: int) -> bool:
        return feasible(
            Population(count, population.bad * count // nodes, population.offline * count // nodes)
        )

    # With as many nodes as a shard can hold, all of them are drawn and nothing is left to chance.
    if nodes > size_max and scaled(size_max):
        yield f"--nodes {_last_true(size_max, nodes, scaled)}"


def _last_true(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The largest count in [low, high) found by bisection for which `holds`, which is true at `low`."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
