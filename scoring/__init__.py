"""Scoring of one shard: pure numerics on tensors.

A shard's encoders embed the full view, masks and inverse masks of each item; `score_shard` says how good
each encoder is, what share of the consensus it gets, and what the consensus embedding of each item is.
"""

from scoring.errors import ScoringError
from scoring.explain import Cost, Explanation, explain
from scoring.local_outlier_factor import local_outlier_factor
from scoring.rule import (
    HARDENED,
    HARDENED_1,
    HARDENED_2,
    HARDENED_3,
    HARDENED_4,
    LITERAL,
    RULES,
    Ramp,
    ScoringRule,
    rule_by_name,
)
from scoring.shard_scores import ShardScores, score_shard
from scoring.terms import GATED_TERMS, MEASURED_TERMS
from scoring.warm_up import warm_up

__all__ = [
    "GATED_TERMS",
    "HARDENED",
    "HARDENED_1",
    "HARDENED_2",
    "HARDENED_3",
    "HARDENED_4",
    "LITERAL",
    "MEASURED_TERMS",
    "RULES",
    "Cost",
    "Explanation",
    "Ramp",
    "ScoringError",
    "ScoringRule",
    "ShardScores",
    "explain",
    "local_outlier_factor",
    "rule_by_name",
    "score_shard",
    "warm_up",
]
