"""Series of four channels: generated ones, and the brightness along lines of scikit-learn's photographs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from node.modalities.samples.part import SEEDS, Part
from node.modalities.series_file import standardise
from node.modalities.series_item import encode_series

STEPS: Final = 64
CHANNELS: Final = 4
_COUNTS: Final[dict[Part, int]] = {"anchors": 1200, "items": 2400}
_LINES: Final[dict[Part, tuple[int, int]]] = {"anchors": (0, 130), "items": (138, 427)}
"""Of the photographs, which are 427 high."""
_LINE_GAP: Final = 8

Series = npt.NDArray[np.float64]


def signal_items(part: Part) -> Iterator[bytes]:
    """Windows of 64 steps of 4 channels, standardised each: one of every kind in turn."""
    from sklearn.datasets import load_sample_images

    photos = [photo[slice(*_LINES[part])].mean(axis=2) for photo in load_sample_images().images]
    for index in range(_COUNTS[part]):
        draw = np.random.default_rng([SEEDS[part], index])
        kind = index % (len(_KINDS) + 1)
        values = _KINDS[kind - 1](draw) if kind else _lines(draw, photos)
        standardise(values[None])
        yield encode_series(values)


def _lines(draw: np.random.Generator, photos: list[Series]) -> Series:
    """Four parallel lines of a photograph, 8 pixels apart."""
    photo = photos[draw.integers(len(photos))]
    top = draw.integers(photo.shape[0] - CHANNELS * _LINE_GAP)
    left = draw.integers(photo.shape[1] - STEPS)
    lines = photo[top : top + CHANNELS * _LINE_GAP : _LINE_GAP, left : left + STEPS]
    # A touch of noise: a line may be all sky.
    return lines.T + draw.normal(0, 0.5, (STEPS, CHANNELS))


def _oscillators(draw: np.random.Generator) -> Series:
    """A few shared tones, each channel with its own share and phase of them."""
    steps = np.arange(STEPS)[:, None, None]
    tones = 3
    frequencies = draw.uniform(0.01, 0.2, tones)
    phases = draw.uniform(0, 2 * np.pi, (tones, CHANNELS))
    shares = draw.normal(0, 1, (tones, CHANNELS))
    waves = np.sin(2 * np.pi * frequencies[:, None] * steps + phases) * shares
    return _noisy(draw, waves.sum(axis=1), 0.1)


def _autoregression(draw: np.random.Generator) -> Series:
    """A vector autoregression of order 1 whose channels turn into each other."""
    turn, _ = np.linalg.qr(draw.normal(0, 1, (CHANNELS, CHANNELS)))
    matrix = turn * draw.uniform(0.85, 0.99)
    values = np.empty((STEPS, CHANNELS))
    state = draw.normal(0, 1, CHANNELS)
    for step in range(STEPS):
        state = matrix @ state + draw.normal(0, 0.3, CHANNELS)
        values[step] = state
    return values


def _random_walks(draw: np.random.Generator) -> Series:
    """Walks that share one walk to different degrees."""
    shared = np.cumsum(draw.normal(0, 1, (STEPS, 1)), axis=0)
    own = np.cumsum(draw.normal(0, 1, (STEPS, CHANNELS)), axis=0)
    return shared * draw.normal(0, 1.5, CHANNELS) + own


def _regimes(draw: np.random.Generator) -> Series:
    """Levels and loudness that jump at the same steps in all channels."""
    jumps = np.sort(draw.choice(np.arange(4, STEPS - 4), draw.integers(2, 6), replace=False))
    regime = np.searchsorted(jumps, np.arange(STEPS), side="right")
    levels = draw.normal(0, 2, (len(jumps) + 1, CHANNELS))
    loudness = draw.uniform(0.05, 1.0, (len(jumps) + 1, 1))
    return levels[regime] + loudness[regime] * draw.normal(0, 1, (STEPS, CHANNELS))


def _pulses(draw: np.random.Generator) -> Series:
    """A beat of one shape, at the same steps in all channels, louder in some, over a slow drift."""
    period, width = draw.uniform(8, 24), draw.uniform(1, 4)
    distance = (
        np.arange(STEPS)[:, None] - draw.uniform(0, period, 1) - draw.uniform(0, 3, CHANNELS)
    ) % period
    beat = np.exp(-distance / width) * np.cos(distance * draw.uniform(0.3, 1.5)) * draw.normal(0, 2, CHANNELS)
    drift = np.linspace(-1, 1, STEPS)[:, None] * draw.normal(0, 0.7, CHANNELS)
    return _noisy(draw, beat + drift, 0.1)


def _noisy(draw: np.random.Generator, values: Series, deviation: float) -> Series:
    noisy: Series = values + draw.normal(0, deviation, values.shape)
    return noisy


_KINDS: Final[tuple[Callable[[np.random.Generator], Series], ...]] = (
    _oscillators,
    _autoregression,
    _random_walks,
    _regimes,
    _pulses,
)
