"""When a call is asked again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

from node.client.call import Call
from node.client.errors import OverloadedError, UnreachableError

RETRY_AFTER_MAX_S: Final = 120.0
"""A server that asks for more is not waited for."""
_DATE_CHARACTERS: Final = 64


@dataclass(frozen=True)
class Retrying:
    """Exponential pauses, each drawn at random so that many clients do not come back at once."""

    attempts: int = 5
    """In all, at least 1."""
    first_s: float = 0.25
    longest_s: float = 8.0
    draw: random.Random = field(default_factory=random.Random)

    def pause_s(self, call: Call[Any], attempt: int, error: Exception) -> float | None:
        """How long to wait after attempt number `attempt` (from 1) failed; None: do not ask again."""
        if attempt >= self.attempts:
            return None
        if isinstance(error, OverloadedError):
            asked_s = error.retry_after_s
            if asked_s is None:
                return self.backoff_s(attempt)
            return None if asked_s > RETRY_AFTER_MAX_S else asked_s + self.backoff_s(1)
        if isinstance(error, UnreachableError) and call.repeatable:
            return self.backoff_s(attempt)
        return None

    def backoff_s(self, attempt: int) -> float:
        """Half to all of the pause after so many failures in a row, counted from 1."""
        longest_s = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 30))
        return self.draw.uniform(longest_s / 2, longest_s)


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds a Retry-After header asks for, a number or a date; None where it says nothing readable."""
    if not header or len(header) > _DATE_CHARACTERS:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return None
