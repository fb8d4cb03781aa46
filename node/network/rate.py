"""A token bucket that answers how long to wait, so that excess becomes back-pressure."""

from __future__ import annotations


class TokenBucket:
    """`rate_per_s` tokens flow in, at most `burst` are kept. Time is passed in, in seconds."""

    __slots__ = ("_at_s", "_tokens", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = burst
        self._at_s = now_s

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount` tokens and return the seconds to wait before using them (0.0: none).

        The bucket may go into debt, so one amount larger than the burst still passes, late.
        """
        elapsed_s = max(0.0, now_s - self._at_s)
        self._tokens = min(self.burst, self._tokens + elapsed_s * self.rate_per_s)
        self._at_s = max(self._at_s, now_s)
        self._tokens -= amount
        return 0.0 if self._tokens >= 0 else -self._tokens / self.rate_per_s

    def resize(self, rate_per_s: float, burst: float) -> None:
        """Go on with another rate; a smaller burst takes effect at once."""
        self.rate_per_s, self.burst = rate_per_s, burst
        self._tokens = min(burst, self._tokens)

    def give_back(self, amount: float) -> None:
        """Return tokens that were taken for nothing."""
        self._tokens = min(self.burst, self._tokens + amount)
