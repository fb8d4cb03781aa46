"""How large a shard must be, and how many of it must answer: advice for whoever writes a genesis."""

from __future__ import annotations

from protocol.planning.errors import InfeasibleError, PlanError
from protocol.planning.odds import NODES_MAX, Population, ShardOdds
from protocol.planning.plan import Budget, ShardPlan, evaluate, plan_shard, quorum_of_share
from protocol.planning.stakes import STAKE_MAX, Holdings
from protocol.planning.trials import Estimate, Trials
from protocol.planning.weighted import StakePlan, estimate, plan_by_stake

__all__ = [
    "NODES_MAX",
    "STAKE_MAX",
    "Budget",
    "Estimate",
    "Holdings",
    "InfeasibleError",
    "PlanError",
    "Population",
    "ShardOdds",
    "ShardPlan",
    "StakePlan",
    "Trials",
    "estimate",
    "evaluate",
    "plan_by_stake",
    "plan_shard",
    "quorum_of_share",
]
