"""Networks of several sizes, and what a load grows as."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from node.sim.scale.load import Load, loads
from node.sim.scale.meter import Part
from node.sim.scale.run import ScalePoint, ScaleSize, measure

ENCODER_STEPS = (32, 100, 316, 1_000, 3_162, 10_000)
VALIDATOR_STEPS = (4, 8, 16, 32, 64, 100)
ENCODERS_BESIDE = 1_000
"""Encoders of the networks whose validators grow."""
VALIDATORS_BESIDE = 16
"""Validators of the networks whose encoders grow."""
METRICS: dict[str, Callable[[Load], float]] = {
    "messages": lambda load: load.messages,
    "bytes": lambda load: load.total_bytes,
    "CPU": lambda load: load.cpu_ms,
}


@dataclass(frozen=True)
class Growth:
    """One series of sizes."""

    along: str
    """What grows: `encoders` or `validators`."""
    points: tuple[ScalePoint, ...]

    def curve(self, part: Part, metric: str) -> list[tuple[int, float]]:
        """(size, load) of a part, where there are such nodes."""
        found = []
        for point in self.points:
            load = loads(point).get(part)
            if load is not None:
                found.append((int(getattr(point.size, self.along)), METRICS[metric](load)))
        return found

    def exponent(self, part: Part, metric: str) -> float | None:
        """p of the power law load ~ size^p that fits best; None for fewer than three sizes."""
        return exponent(self.curve(part, metric))


def exponent(curve: Sequence[tuple[int, float]]) -> float | None:
    """Least squares of log load over log size; None for fewer than three points or a load of nothing."""
    if len(curve) < 3 or any(value <= 0 for _, value in curve):
        return None
    xs, ys = [math.log(size) for size, _ in curve], [math.log(value) for _, value in curve]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((one - x) ** 2 for one in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread


def shown(power: float | None) -> str:
    """An exponent as people read it."""
    # Minus nothing is nothing.
    return "-" if power is None else f"{power:.2f}".replace("-0.00", "0.00")


def sizes(largest: ScaleSize, rounds: int) -> dict[str, list[ScaleSize]]:
    """Networks up to the largest: first more and more encoders, then more and more validators."""
    beside = replace(
        largest,
        rounds=rounds,
        validators=min(VALIDATORS_BESIDE, largest.validators),
        encoders=min(ENCODERS_BESIDE, largest.encoders),
    )
    encoders = [n for n in ENCODER_STEPS if 2 * largest.shard_size <= n <= largest.encoders]
    validators = [n for n in VALIDATOR_STEPS if largest.shards <= n <= largest.validators]
    return {
        "encoders": [replace(beside, encoders=n) for n in encoders],
        "validators": [replace(beside, validators=n) for n in validators],
    }


def grow(largest: ScaleSize, rounds: int, on_work: Callable[[int], None]) -> Iterator[Growth]:
    """Measure all of them. Raises Violation."""
    for along, chosen in sizes(largest, rounds).items():
        yield Growth(along, tuple(measure(size, on_work) for size in chosen))
