"""How large a shard must be, and how many of it must answer: advice for whoever writes a genesis."""

from __future__ import annotations

from protocol.planning.errors import Infeasible, PlanError
from protocol.planning.odds import NODES_MAX, Population, ShardOdds
from protocol.planning.plan import Budget, ShardPlan, evaluate, plan_shard, quorum_of_share

__all__ = [
    "NODES_MAX",
    "Budget",
    "Infeasible",
    "PlanError",
    "Population",
    "ShardOdds",
    "ShardPlan",
    "evaluate",
    "plan_shard",
    "quorum_of_share",
]
