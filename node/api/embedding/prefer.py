"""The header `Prefer` (RFC 7240), as far as it is about waiting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WAIT: Final = re.compile(r"wait=([0-9]{1,6})\Z")


@dataclass(frozen=True, slots=True)
class Preference:
    """How a client wants to wait."""

    asynchronous: bool
    """A job instead of waiting on, or of an error when the time is over."""
    wait_s: int | None
    """How long at most; None is unsaid."""

    def wait_ms(self, default_ms: int) -> int:
        """Not at all for who wants a job and says nothing else."""
        if self.wait_s is None:
            return 0 if self.asynchronous else default_ms
        return self.wait_s * 1_000


def preference_of(header: str) -> Preference:
    """What a header asks for; what is not understood is passed over, as the RFC wants it."""
    asynchronous, wait_s = False, None
    for part in header.lower().split(","):
        name = part.partition(";")[0].strip()
        found = _WAIT.match(name)
        if found is not None and wait_s is None:
            wait_s = int(found[1])
        asynchronous = asynchronous or name == "respond-async"
    return Preference(asynchronous, wait_s)
