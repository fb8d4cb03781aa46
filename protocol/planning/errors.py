"""What planning refuses, and why no plan exists."""

from __future__ import annotations

from typing import Literal


class PlanError(ValueError):
    """Numbers no shard can be planned from; the message says which and what to change."""


class InfeasibleError(PlanError):
    """No shard size keeps the budget named by `budget`; the message says what would."""

    def __init__(self, message: str, budget: Literal["security", "liveness"]) -> None:
        super().__init__(message)
        self.budget = budget
