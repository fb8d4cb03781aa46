"""Telling peers the time of this node's clock, so that an operator can see whether two of them agree."""

from __future__ import annotations

from node.clock import now_ms

METHOD = "clock"
ANSWER_BYTES = 8


async def tell_clock(_: bytes, __: bytes) -> bytes:
    """Milliseconds since the Unix epoch, big-endian. Nothing a node does depends on what another one says."""
    return now_ms().to_bytes(ANSWER_BYTES, "big")


def clock_told(answer: bytes) -> int | None:
    """The time in an answer, None for one of another length."""
    return int.from_bytes(answer, "big") if len(answer) == ANSWER_BYTES else None
