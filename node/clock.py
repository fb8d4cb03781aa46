"""The node's clock: milliseconds since the Unix epoch. Machines are told the time, they never ask."""

from __future__ import annotations

import time

import trio

LOOK_AGAIN_S = 5.0
"""Less than a slot: a node whose clock was an hour behind takes part from the slot after it is set right."""


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


async def sleep_until_ms(at_ms: int) -> None:
    """Sleep until the clock shows `at_ms`; looks again every few seconds, in case the clock is set."""
    while (left_ms := at_ms - now_ms()) > 0:  # noqa: ASYNC110 (a clock sends no event)
        await trio.sleep(min(left_ms / 1000, LOOK_AGAIN_S))
