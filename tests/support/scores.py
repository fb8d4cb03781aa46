"""Comparing the scores of two computations."""

from __future__ import annotations

import torch

from scoring import ShardScores


def same(one: ShardScores, other: ShardScores, *, tolerance: float = 0.0) -> bool:
    """Equal numbers within `tolerance` and equal decisions."""
    pairs = [(one.score, other.score), (one.weight, other.weight), (one.consensus, other.consensus)]
    pairs += [(one.terms[name], other.terms[name]) for name in one.terms]
    close = all(torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True) for a, b in pairs)
    return close and torch.equal(one.valid, other.valid) and one.terms.keys() == other.terms.keys()
