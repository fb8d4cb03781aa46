"""The two parts of the sample data, which share nothing."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Part: TypeAlias = Literal["anchors", "items"]

SEEDS: Final[dict[Part, int]] = {"anchors": 1, "items": 2}
"""Part of every seed drawn from."""
