"""The smallest shard that keeps both budgets where stakes differ, by tilted draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from protocol.genesis import SHARD_SIZE_MAX
from protocol.planning.errors import InfeasibleError, PlanError
from protocol.planning.odds import Population, ShardOdds
from protocol.planning.plan import Budget, quorum_of_share
from protocol.planning.trials import Estimate, Trials

_WINDOW: Final = 1.2
"""Largest by smallest size estimated with one tilt."""
_EVEN: Final = 1.000_001
"""A tilt that tells no majority to be missing."""


@dataclass(frozen=True, slots=True)
class StakePlan:
    """A shard size with its quorum, and what they buy as draws show it."""

    size: int
    quorum: int
    takeover: Estimate
    stall: Estimate


def plan_by_stake(
    trials: Trials,
    budget: Budget,
    quorum_share: Fraction | None = None,
    size_max: int = SHARD_SIZE_MAX,
    progress: Callable[[int], None] = lambda _: None,
) -> StakePlan:
    """The smallest size found whose bounds of takeover and stall by draws are both under budget.

    As `plan_shard`, with bounds for chances; `progress` hears each largest size tried. Raises
    InfeasibleError, PlanError.
    """
    if quorum_share is not None and not 0 < quorum_share <= 1:
        raise PlanError(f"a quorum of {float(quorum_share):g} of a shard is none: give a share such as 2/3")
    if trials.proportion(0).upper >= budget.liveness:
        raise PlanError(
            f"{trials.draws:,} draws cannot show a stall chance under {float(budget.liveness):.2g}: raise "
            "--draws"
        )
    limit = min(trials.holdings.nodes, size_max)
    first = _uniform_guess(trials, budget, limit)
    found, unsafe = _in_window(trials, budget, quorum_share, first, _upper_end(first, limit), progress)
    if found is not None:
        # It may do with less than nodes of equal stake would.
        while found.size == first > 1:
            last, first = first - 1, max(1, int(first / _WINDOW))
            smaller, _ = _in_window(trials, budget, quorum_share, first, last, progress)
            if smaller is None:
                break
            found = smaller
        return found
    while (first := _upper_end(first, limit) + 1) <= limit:
        found, still = _in_window(trials, budget, quorum_share, first, _upper_end(first, limit), progress)
        if found is not None:
            return found
        unsafe = unsafe and still
    raise _infeasible(trials, budget, limit, unsafe)


def estimate(trials: Trials, size: int, quorum: int) -> StakePlan:
    """What a given size and quorum buy. Raises PlanError."""
    if not 1 <= size <= trials.holdings.nodes or not 0 <= quorum <= size:
        raise PlanError(
            f"no shard of {size} with a quorum of {quorum} exists among {trials.holdings.nodes} nodes"
        )
    stalled = sum(trials.answers(size)[-1][:quorum])
    return StakePlan(size, quorum, trials.takeover(size, size)[0], trials.proportion(stalled))


def _upper_end(first: int, limit: int) -> int:
    return min(limit, max(first + 3, int(first * _WINDOW)))


def _uniform_guess(trials: Trials, budget: Budget, limit: int) -> int:
    """Where to begin: the size that nodes of equal stake would need for the same share of bad ones."""
    held = trials.holdings
    bad = int(held.nodes * sum(held.stakes[: held.bad]) // held.total)
    offline = min(held.nodes - bad, held.nodes * held.offline_stake_max // held.total)
    odds = ShardOdds(Population(held.nodes, bad, offline))
    return next((n for n in range(1, limit) if odds.takeover_under(n, budget.security)), max(1, limit // 4))


def _in_window(
    trials: Trials,
    budget: Budget,
    quorum_share: Fraction | None,
    first: int,
    last: int,
    progress: Callable[[int], None],
) -> tuple[StakePlan | None, bool]:
    """The first size that keeps both budgets, and whether none keeps the security budget."""
    progress(last)
    if trials.holdings.tilt(last) <= _EVEN:
        return None, True  # the bad ones are a majority as it is: nothing to draw for
    safe = {
        first + place: one
        for place, one in enumerate(trials.takeover(first, last))
        if one.upper < budget.security
    }
    if not safe:
        return None, True
    counts = trials.answers(last)
    for size, takeover in safe.items():
        quorum, stall = _live_quorum(trials, counts[size - 1], budget.liveness, quorum_share)
        if quorum:
            return StakePlan(size, quorum, takeover, stall), False
    return None, False


def _live_quorum(
    trials: Trials, answers: list[int], liveness: Fraction, quorum_share: Fraction | None
) -> tuple[int, Estimate]:
    """The largest quorum with a bound under `liveness`, 0 when it is no majority of the shard."""
    size = len(answers) - 1
    if quorum_share is not None:
        quorum = quorum_of_share(size, quorum_share)
        stall = trials.proportion(sum(answers[:quorum]))
        return (quorum if stall.upper < liveness else 0), stall
    quorum, stalled = 0, 0
    while quorum < size and trials.proportion(stalled + answers[quorum]).upper < liveness:
        stalled += answers[quorum]
        quorum += 1
    return (quorum if 2 * quorum > size else 0), trials.proportion(stalled)


def _infeasible(trials: Trials, budget: Budget, limit: int, unsafe: bool) -> InfeasibleError:
    held = trials.holdings
    if not unsafe:
        return InfeasibleError(
            f"no shard of up to {limit:,} of {held.nodes:,} nodes keeps the liveness budget (under "
            f"{float(budget.liveness):.2g}) where it keeps the security budget: lower --offline, "
            "--byzantine or --quorum, or raise --stall-budget",
            "liveness",
        )
    return InfeasibleError(
        f"no shard of up to {limit:,} of {held.nodes:,} nodes is shown to keep the security budget (under "
        f"{float(budget.security):.2g}): the bad stake lies with {held.bad:,} nodes, which take "
        f"{held.bad_seats(limit):.0%} of such a shard, and the richest node holds "
        f"{float(held.largest_share):.0%} of all stake yet fills one seat; "
        "spread the stake, lower --byzantine or --offline, or raise --draws",
        "security",
    )
