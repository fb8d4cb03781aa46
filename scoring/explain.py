"""A score in words: what it started from, and what every gate took off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from scoring.errors import ScoringError
from scoring.rule import Ramp, ScoringRule
from scoring.terms import GATED_TERMS

_SAYS: Final = {
    "differential": "its parts do not recompose its whole",
    "local_outlier_factor": "its answers lie far from its neighbours'",
    "majority_similarity": "too few peers agree with it",
    "innovation": "its fragments say nothing beyond its full view",
    "leak": "its fragments say what only the other fragment should",
}
"""What a low gate means, by term."""


@dataclass(frozen=True)
class Cost:
    """One factor of a score."""

    name: str
    """The term: availability, or one of GATED_TERMS."""
    measured: float
    factor: float
    """What the score was multiplied by, in [0, 1]."""
    lost: float
    """How much higher the score would be without this factor alone."""
    reason: str
    """In words; empty when the factor is 1."""


@dataclass(frozen=True)
class Explanation:
    """Why one encoder has the score it has."""

    score: float
    base: float
    """The discrimination, or scale / (scale + literal loss) under a rule based on it."""
    costs: tuple[Cost, ...]
    """Dearest first."""
    rule: ScoringRule
    live: bool

    def __str__(self) -> str:
        """Some lines: the score, then one for each factor below 1."""
        if not self.live:
            return (
                f"score 0: fewer than {self.rule.live_share_min:.0%} of its items are valid "
                f"({self.costs[0].measured:.0%}), so that it is nobody's peer and nothing was measured"
            )
        lines = [f"score {self.score:.3f}, from {self.rule.base.replace('_', ' ')} {self.base:.3f}"]
        for cost in self.costs:
            if cost.factor < 1:
                lines.append(f"  x {cost.factor:.3f} {cost.reason}: costs {cost.lost:.3f}")
        if len(lines) == 1:
            lines.append("  no gate cost anything")
        return "\n".join(lines)


def explain(terms: Mapping[str, float], rule: ScoringRule) -> Explanation:
    """One encoder's published terms -> why it has its score. Raises ScoringError if a term is missing."""
    missing = {"discrimination", "differential_literal", "availability", "live", *GATED_TERMS} - terms.keys()
    if missing:
        raise ScoringError(f"terms without {', '.join(sorted(missing))}: give all terms of a shard's scores")
    live = terms["live"] > 0
    if rule.base == "discrimination":
        base = terms["discrimination"]
    else:
        base = rule.literal_scale / (rule.literal_scale + terms["differential_literal"])
    present = terms["availability"]
    factors = [
        ("availability", present, present**rule.availability_power, f"{present:.0%} of its items are valid")
    ]
    for name in GATED_TERMS:
        gate: Ramp | None = getattr(rule, f"{name}_gate")
        if gate is not None:
            factors.append((name, terms[name], gate.at(terms[name]), _reason(name, terms[name], gate)))
    score = base if live else 0.0
    for _, _, factor, _ in factors:
        score *= factor
    costs = [
        Cost(
            name,
            measured,
            factor,
            _without(base, factors, name) - score if live else 0.0,
            "" if factor == 1 else why,
        )
        for name, measured, factor, why in factors
    ]
    if live:
        costs.sort(key=lambda cost: cost.factor)
    return Explanation(score, base, tuple(costs), rule, live)


def _without(base: float, factors: list[tuple[str, float, float, str]], name: str) -> float:
    for other, _, factor, _ in factors:
        base *= 1.0 if other == name else factor
    return base


def _reason(name: str, measured: float, gate: Ramp) -> str:
    side = "below" if gate.one_at > gate.zero_at else "above"
    return f"{name.replace('_', ' ')} {measured:.3f} is {side} {gate.one_at:g}: {_SAYS[name]}"
