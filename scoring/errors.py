"""The one error of scoring."""

from __future__ import annotations


class ScoringError(ValueError):
    """The shard cannot be scored: says what is wrong with it, why that matters, and what to give instead."""
