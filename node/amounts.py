"""Amounts as people read them, alike in every command."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def size(size_bytes: float | None) -> str:
    """`512 MiB`, `1.5 GiB`; a dash where nobody knows."""
    if size_bytes is None:
        return "-"
    count, unit = float(size_bytes), 0
    # What would be shown as 1024 of a unit is one of the next.
    while round(count) >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 10 else f"{count:.1f} {_UNITS[unit]}"
