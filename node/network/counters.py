"""Named counters of one host, bounded in number."""

from __future__ import annotations

NAMES_MAX = 512
OVERFLOW = "other"


class Counters(dict[str, int]):
    """A plain dict of name -> count that never holds more than `NAMES_MAX` names; the rest go to `other`."""

    def add(self, name: str, amount: int = 1) -> None:
        """Count `amount` more of `name`."""
        if name not in self and len(self) >= NAMES_MAX:
            name = OVERFLOW
        self[name] = self.get(name, 0) + amount
