"""The measured terms of a shard's live encoders, and the score they make."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from scoring.rule import Ramp, ScoringRule

GATED_TERMS: Final = (
    "differential",
    "local_outlier_factor",
    "majority_similarity",
    "innovation",
    "leak",
)
"""Terms with a gate: the gate of X is the rule's X_gate, and what it lets through is the term X_ramp."""

MEASURED_TERMS: Final = ("discrimination", "differential_literal", *GATED_TERMS)
"""Terms that only a live encoder has."""


def no_terms(valid: Tensor, live: Tensor) -> dict[str, Tensor]:
    """All terms in the order they are published, before anything is measured. [N, I], [N] -> [N] each."""
    nothing = torch.zeros(len(live), dtype=torch.float64, device=live.device)
    measured = (*MEASURED_TERMS, *(f"{name}_ramp" for name in GATED_TERMS))
    return {name: nothing.clone() for name in measured} | {
        "availability": valid.double().mean(1),
        "mass": torch.ones_like(nothing),
        "live": live.double(),
    }


def ramps(measured: dict[str, Tensor], rule: ScoringRule) -> dict[str, Tensor]:
    """What each gate lets through, in [0, 1]; a gate the rule does not have lets all through."""
    return {f"{name}_ramp": let_through(name, measured[name], rule) for name in GATED_TERMS}


def let_through(name: str, values: Tensor, rule: ScoringRule) -> Tensor:
    """What the gate of that term lets through of its values, in [0, 1]: all where the rule has none."""
    gate: Ramp | None = getattr(rule, f"{name}_gate")
    return torch.ones_like(values) if gate is None else gate(values)


def score_of(terms: dict[str, Tensor], rule: ScoringRule) -> Tensor:
    """S: the base times availability to a power times every ramp. Terms [n] -> [n] float64."""
    if rule.base == "discrimination":
        score = terms["discrimination"]
    else:
        score = rule.literal_scale / (rule.literal_scale + terms["differential_literal"])
    score = score * terms["availability"] ** rule.availability_power
    for name in GATED_TERMS:
        score = score * terms[f"{name}_ramp"]
    return score
