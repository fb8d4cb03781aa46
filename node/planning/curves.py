"""A chosen shard size as a picture: which points are drawn."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from node.planning.choice import Choice, Question
from node.planning.picture import draw_plan
from protocol.planning import Population, ShardOdds, quorum_of_share

_POINTS_MAX: Final = 400
"""More sizes than this are thinned out, in steps that keep both parities."""


def picture_of(question: Question, choice: Choice) -> str:
    """Takeover and stall chances of sizes up to half as much again as the chosen one. Raises PlanError."""
    plan = choice.plan
    last = min(question.nodes, max(plan.size * 3 // 2, plan.size + 10))
    odds = ShardOdds(Population.of_shares(question.nodes, question.byzantine, question.offline))
    share = Fraction(plan.quorum, plan.size)
    step = 2 * (last // (2 * _POINTS_MAX)) + 1
    sizes = sorted({*range(1, last + 1, step), plan.size})
    budget = question.budget
    drawn = []
    if choice.trials is not None:
        first = max(1, plan.size * 4 // 5)
        estimates = choice.trials.takeover(first, plan.size)
        drawn = [(first + place, one.upper) for place, one in enumerate(estimates) if one.upper < 1]
    return draw_plan(
        f"A shard of {question.nodes:,} encoders, {float(question.byzantine):.0%} bad, "
        f"{float(question.offline):.0%} offline",
        plan.size,
        plan.quorum,
        [(size, float(odds.takeover(size))) for size in sizes],
        [(size, float(odds.stall(size, quorum_of_share(size, share)))) for size in sizes],
        (float(budget.security), float(budget.liveness)),
        drawn,
    )
