"""Amounts as people read them."""

from __future__ import annotations


def gib(size_bytes: float) -> str:
    """`512 MiB`, `1.5 GiB`."""
    if size_bytes >= 1 << 40:
        return f"{size_bytes / (1 << 40):.1f} TiB"
    return (
        f"{size_bytes / (1 << 30):.1f} GiB" if size_bytes >= 1 << 30 else f"{size_bytes / (1 << 20):.0f} MiB"
    )
