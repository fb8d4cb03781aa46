"""What happened, one line an event; its hash tells whether two runs were the same."""

from __future__ import annotations

from blake3 import blake3

LINES_MAX = 1_000_000
HASHED_AT_ONCE = 256
"""Lines: one by one each would cost as much as all that is done with it."""


class Trace:
    """Lines of a run. All are hashed; they are kept only when somebody wants to read them."""

    def __init__(self, genesis_time_ms: int, *, keep: bool) -> None:
        self._genesis_time_ms = genesis_time_ms
        self._keep = keep
        self._hasher = blake3()
        self._unhashed: list[str] = []
        self.lines: list[str] = []

    def note(self, now_ms: int, who: str, what: str) -> None:
        """One event: milliseconds since genesis, whose it is, what it is."""
        line = f"{now_ms - self._genesis_time_ms:>8} {who:<4} {what}"
        self._unhashed.append(line)
        if len(self._unhashed) >= HASHED_AT_ONCE:
            self._hash_lines()
        if self._keep and len(self.lines) < LINES_MAX:
            self.lines.append(line)

    @property
    def hash(self) -> str:
        """blake3 of all lines, 32 hexadecimal digits."""
        self._hash_lines()
        return self._hasher.hexdigest()[:32]

    def _hash_lines(self) -> None:
        self._hasher.update("".join(f"{line}\n" for line in self._unhashed).encode())
        self._unhashed.clear()
