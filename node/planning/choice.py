"""A shard size chosen for a network, beside others, with what each buys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from config.presets import PRESETS
from protocol.planning import (
    Budget,
    Holdings,
    InfeasibleError,
    Population,
    ShardOdds,
    ShardPlan,
    StakePlan,
    Trials,
    estimate,
    evaluate,
    plan_by_stake,
    plan_shard,
    quorum_of_share,
)

PRESET = "testnet"
_SHARES = {"quorum 2/3": Fraction(2, 3), "quorum 90 %": Fraction(9, 10)}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: who is there, what is assumed of them, and which chances are accepted."""

    nodes: int
    stakes: tuple[int, ...] | None
    """None: all equal."""
    byzantine: Fraction
    offline: Fraction
    budget: Budget
    quorum_share: Fraction | None
    others: tuple[tuple[str, int, int | None], ...]
    """Name, size and quorum of shards to compare with; without a quorum it is the plan's share."""
    draws: int
    seed: int


@dataclass(frozen=True, slots=True)
class Line:
    """What one size and quorum buy; chances are exact, or with `bounds` means and bounds of draws."""

    name: str
    size: int
    quorum: int
    takeover: float
    stall: float
    keeps: bool
    """Whether both budgets are kept; by draws, whether the bounds are under them."""
    takeover_or_tie: float | None = None
    censored: float | None = None
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The plan first, then what it is compared with."""

    lines: tuple[Line, ...]
    bad: int
    offline: int
    bad_seats: float
    """Expected share of bad ones in the shard planned."""
    trials: Trials | None
    """None where exact arithmetic says all."""

    @property
    def plan(self) -> Line:
        """The line to act on."""
        return self.lines[0]


def choose(question: Question, progress: Callable[[int], None] = lambda _: None) -> Choice:
    """The smallest shard that keeps both budgets. Raises PlanError."""
    if question.stakes is not None:
        held = Holdings(question.stakes, question.byzantine, question.offline)
        if not held.are_equal:
            return _choose_by_stake(question, held, progress)
    population = Population.of_shares(question.nodes, question.byzantine, question.offline)
    odds = ShardOdds(population)
    plan = plan_shard(population, question.budget, question.quorum_share)
    lines = [_exact("plan", plan, question.budget)]
    others = [(name, plan.size, quorum_of_share(plan.size, share)) for name, share in _SHARES.items()]
    if question.quorum_share is not None:
        others = []
    for name, size, quorum in [*others, *_compared(question, plan)]:
        lines.append(_exact(name, evaluate(odds, size, quorum), question.budget))
    if population.offline:
        try:
            alone = plan_shard(
                Population(population.nodes, population.bad, 0), question.budget, question.quorum_share
            )
        except InfeasibleError:
            pass  # only a comparison; with a fixed quorum share fewer answers may be asked of larger shards
        else:
            lines.append(_exact("nobody offline", alone, question.budget))
    seats = population.bad / population.nodes
    return Choice(tuple(lines), population.bad, population.offline, seats, None)


def _choose_by_stake(question: Question, held: Holdings, progress: Callable[[int], None]) -> Choice:
    trials = Trials(held, question.draws, question.seed)
    plan = plan_by_stake(trials, question.budget, question.quorum_share, progress=progress)
    lines = [_drawn("plan", plan, question.budget)]
    for name, size, quorum in _compared(question, plan):
        progress(size)
        lines.append(_drawn(name, estimate(trials, size, quorum), question.budget))
    return Choice(tuple(lines), held.bad, held.offline_nodes_max, held.bad_seats(plan.size), trials)


def _compared(question: Question, plan: ShardPlan | StakePlan) -> Sequence[tuple[str, int, int]]:
    """The other shards that this network can have, each with its quorum."""
    preset = PRESETS[PRESET].parameters
    others = question.others
    if all(quorum is None for _, _, quorum in others):  # else it is a network with a shard of its own
        others = (*others, (f"{PRESET} preset", preset.shard_size, preset.encoders_min))
    share = Fraction(plan.quorum, plan.size)
    return [
        (name, size, quorum_of_share(size, share) if quorum is None else quorum)
        for name, size, quorum in others
        if size <= question.nodes
    ]


def _exact(name: str, plan: ShardPlan, budget: Budget) -> Line:
    return Line(
        name,
        plan.size,
        plan.quorum,
        float(plan.takeover),
        float(plan.stall),
        plan.takeover < budget.security and plan.stall < budget.liveness,
        float(plan.takeover_or_tie),
        float(plan.censored),
    )


def _drawn(name: str, plan: StakePlan, budget: Budget) -> Line:
    takeover, stall = plan.takeover, plan.stall
    return Line(
        name,
        plan.size,
        plan.quorum,
        takeover.chance,
        stall.chance,
        takeover.upper < budget.security and stall.upper < budget.liveness,
        bounds=(takeover.upper, stall.upper),
    )
