"""Steps of rounds as they happen, one after the other: told by an API, or looked for in a store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from node.cli.live.gathering import ROUNDS_KEPT
from node.cli.live.picture import Picture
from node.client.sse import Event
from node.status import Liveness
from protocol.rounds.effects import Step

LOOK_EVERY_S: Final = 0.5
_UNSHOWN: Final = frozenset({Step.RECEIVED})
"""One for each encoder and round: what it sent, in bytes."""
TEXT_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class SeenStep:
    """One step of one shard-round, as the node asked saw it."""

    round: int
    shard: int
    step: str
    wave: int
    elapsed_ms: int
    answered: int
    missing: int
    detail: str
    at_ms: int

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def from_events(events: Iterator[Event]) -> Iterator[SeenStep]:
    """The steps among the events of an API, for ever; what is malformed is left out."""
    for event in events:
        found = step_of(event.data) if event.kind == "step" else None
        if found is not None and found.step not in _UNSHOWN:
            yield found


def step_of(data: dict[str, Any]) -> SeenStep | None:
    """The step an event tells; None where it does not tell one."""
    texts = [data.get(name) for name in ("step", "detail")]
    numbers = [
        data.get(name) for name in ("round", "shard", "wave", "elapsed_ms", "answered", "missing", "at_ms")
    ]
    if not all(isinstance(text, str) for text in texts):
        return None
    if not all(isinstance(one, int) and 0 <= one < 1 << 53 for one in numbers):
        return None
    step, detail = (str(text)[:TEXT_CHARACTERS_MAX] for text in texts)
    round_, shard, wave, elapsed_ms, answered, missing, at_ms = (int(one or 0) for one in numbers)
    return SeenStep(round_, shard, step, wave, elapsed_ms, answered, missing, detail, at_ms)


def from_pictures(picture: Callable[[], Picture]) -> Iterator[SeenStep]:
    """The steps that come until the node stops, and those of the rounds under way when it begins."""
    told: dict[tuple[int, int], int] = {}
    oldest: tuple[int, int] | None = None
    while True:
        seen = picture()
        details = sorted(seen.rounds, key=lambda one: (one.summary.round, one.summary.shard))
        is_first = not told
        for detail in details:
            place = (detail.summary.round, detail.summary.shard)
            steps = [one for one in detail.steps if one.step not in _UNSHOWN]
            if oldest is None:
                oldest = place
            # Pictures come to hold older rounds too, a few more each time: those are over.
            if place < oldest or (is_first and detail.summary.state != "open"):
                told[place] = len(steps)
            for one in steps[told.get(place, 0) :]:
                yield SeenStep(
                    *place,
                    one.step,
                    one.wave,
                    one.elapsed_ms,
                    len(one.answered),
                    len(one.missing),
                    one.detail[:TEXT_CHARACTERS_MAX],
                    one.at_ms,
                )
            told[place] = len(steps)
        for place in sorted(told)[: -4 * ROUNDS_KEPT]:
            del told[place]
        if seen.state == Liveness.STOPPED.value:
            return
        time.sleep(LOOK_EVERY_S)
