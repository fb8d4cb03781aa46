"""Labelled series that need no network: ten kinds of three channels, generated from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.data import LabelledData, LabelledItem
from node.modalities.series_item import encode_series

RECORDINGS_PER_CLASS: Final = 10
WINDOWS: Final = 4
"""Neighbouring windows of a recording; they stay together."""
WINDOW_STEPS: Final = 256
CHANNELS: Final = 3
SEED: Final = 20_261_122
NOISE: Final = 0.4
"""White noise in every channel, in its own standard deviations."""
_LAG_STEPS_MAX: Final = 12

Line = NDArray[np.float64]
"""[steps]."""
_Random = np.random.Generator
_STEPS: Final = WINDOWS * WINDOW_STEPS + _LAG_STEPS_MAX
_AT: Final = np.arange(_STEPS, dtype=np.float64)


def series_sample() -> LabelledData:
    """Windows of 256 steps; the channels of a recording follow one line, late, turned, and with noise."""
    random = np.random.default_rng(SEED)
    items = []
    for kind, make in KINDS.items():
        for turn in range(RECORDINGS_PER_CLASS):
            recording = recorded(make(random), random)
            for start in range(0, len(recording), WINDOW_STEPS):
                window = encode_series(recording[start : start + WINDOW_STEPS])
                items.append(LabelledItem(window, kind, f"{kind} {turn}"))
    return LabelledData("generated series", "series", tuple(items))


def recorded(line: Line, random: _Random) -> NDArray[np.float64]:
    """A line as three channels, [steps, 3], standardised over the recording as items are."""
    steps = len(line) - _LAG_STEPS_MAX
    level = (line - line.mean()) / max(float(line.std()), 1e-9)
    channels = []
    for _ in range(CHANNELS):
        lag = int(random.integers(0, _LAG_STEPS_MAX + 1))
        sign = random.choice((-1.0, 1.0))
        channels.append(sign * level[lag : lag + steps] + NOISE * random.normal(size=steps))
    values = np.stack(channels, axis=1)
    return np.asarray((values - values.mean(0)) / values.std(0))


def _turns(random: _Random, low: float = 24.0, high: float = 80.0) -> Line:
    """A phase in turns, of some period in steps."""
    return _AT / random.uniform(low, high) + random.uniform()


def _square(random: _Random) -> Line:
    return np.asarray(np.sign(np.sin(2 * np.pi * _turns(random))))


def _walk(random: _Random) -> Line:
    return np.cumsum(random.normal(size=_STEPS))


def _autoregressive(random: _Random) -> Line:
    """Second order, with a period that it keeps for a while only."""
    from scipy.signal import lfilter

    radius, turn = random.uniform(0.9, 0.97), 2 * np.pi / random.uniform(8, 16)
    coefficients = [1, -2 * radius * np.cos(turn), radius**2]
    found: Line = lfilter([1.0], coefficients, random.normal(size=_STEPS))
    return found


def _chirp(random: _Random) -> Line:
    """Faster and faster, over and over."""
    along = np.mod(_AT / random.uniform(100, 200) + random.uniform(), 1)
    return np.asarray(np.sin(2 * np.pi * (2 * along + 8 * along**2)))


def _bursts(random: _Random) -> Line:
    loud = np.sin(2 * np.pi * _turns(random, 60, 160)) > 0.6
    return loud * random.normal(size=_STEPS) * 3 + 0.1 * random.normal(size=_STEPS)


def _levels(random: _Random) -> Line:
    """Constant for a while, then at another level."""
    return random.normal(size=_STEPS)[np.cumsum(random.uniform(size=_STEPS) < 1 / 48)]


def _ringing(random: _Random) -> Line:
    """Struck again and again, fading each time."""
    since = np.mod(_AT + random.uniform(0, 100), random.uniform(60, 120))
    return np.asarray(np.exp(-since / 20) * np.sin(2 * np.pi * since / random.uniform(7, 12)))


def _beats(random: _Random) -> Line:
    """Like a heart: one narrow peak, a dip and a wide one in each period."""
    phase = np.mod(_turns(random, 40, 70), 1)
    peaks = ((0.3, 0.02, 3.0), (0.36, 0.025, -1.0), (0.6, 0.07, 0.8))
    return np.asarray(
        np.sum([size * np.exp(-np.square((phase - at) / wide) / 2) for at, wide, size in peaks], axis=0)
    )


KINDS: Final[Mapping[str, Callable[[_Random], Line]]] = {
    "sine": lambda random: np.sin(2 * np.pi * _turns(random)),
    "square": _square,
    "sawtooth": lambda random: np.mod(_turns(random), 1),
    "random walk": _walk,
    "autoregressive": _autoregressive,
    "chirp": _chirp,
    "bursts": _bursts,
    "level shifts": _levels,
    "ringing": _ringing,
    "heartbeat": _beats,
}
"""By class."""
