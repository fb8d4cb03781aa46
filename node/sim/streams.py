"""Random streams: one for each thing that is drawn, so that one draw more leaves the others alone."""

from __future__ import annotations

import random

from protocol.hashing import digest


def stream(seed: int, name: str) -> random.Random:
    """The stream `name` of a seed: the same in every process, whatever Python hashes strings to."""
    return random.Random(int.from_bytes(digest("simulator", str(seed).encode(), name.encode()), "big"))


def chance(draw: random.Random, percent: int) -> bool:
    """True in `percent` of 100 cases."""
    return draw.random() * 100 < percent


def below(draw: random.Random, limit: int) -> int:
    """An integer from 1 to `limit`; several times as fast as `randint`, which links need a lot."""
    return 1 + int(draw.random() * limit)
