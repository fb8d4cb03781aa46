"""Lengths of time as people write them: 90s, 10m, 1h, 2d."""

from __future__ import annotations

import re
from typing import Final

from node.cli.errors import CommandError, ExitCode

_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION_MS_MAX: Final = 3_650 * 86_400_000


def duration_ms(text: str, option: str) -> int:
    """The length in milliseconds of a text such as `1h30m`. Raises CommandError."""
    parts = re.findall(r"([0-9]{1,9})([smhd])", text)
    length_ms = sum(int(count) * _UNITS_MS[unit] for count, unit in parts)
    whole = "".join(count + unit for count, unit in parts) == text
    if not whole or not 0 < length_ms <= DURATION_MS_MAX:
        raise CommandError(
            f"'{text[:40]}' is no length of time for {option}: write it as 90s, 10m, 1h30m or 2d, "
            "ten years at most",
            ExitCode.USAGE,
        )
    return length_ms
