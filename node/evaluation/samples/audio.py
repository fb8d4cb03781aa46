"""Labelled sounds that need no network: ten kinds, generated from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.data import LabelledData, LabelledItem
from node.modalities.audio_item import RATE_HZ, encode_audio
from node.modalities.mdct import FRAME_SAMPLES

ITEMS_PER_CLASS: Final = 32
FRAMES: Final = 64
"""1.024 seconds."""
SEED: Final = 20_261_122
NOISE: Final = 0.05
"""White noise in every sound, in its own standard deviations."""

Sound = NDArray[np.float64]
"""[samples]."""
_Random = np.random.Generator
_TIME_S: Final = np.arange(FRAMES * FRAME_SAMPLES) / RATE_HZ


def audio_sample() -> LabelledData:
    """Sounds of a second, each of another pitch, pace, loudness and phase; all of one kind are a class."""
    random = np.random.default_rng(SEED)
    items = [
        LabelledItem(encode_audio(_recorded(make(random), random)), kind, f"{kind} {turn}")
        for kind, make in KINDS.items()
        for turn in range(ITEMS_PER_CLASS)
    ]
    return LabelledData("generated sounds", "audio", tuple(items))


def _recorded(sound: Sound, random: _Random) -> NDArray[np.float32]:
    """With noise, and at some loudness below full scale."""
    noisy = sound / sound.std() + NOISE * random.normal(size=len(sound))
    gain = random.uniform(0.2, 0.95) / np.abs(noisy).max()
    return np.asarray(noisy * gain, dtype=np.float32)


def _pitch_hz(random: _Random, low: float = 150.0, high: float = 1_500.0) -> float:
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _sine(phase_turns: Sound) -> Sound:
    return np.asarray(np.sin(2 * np.pi * phase_turns))


def _tone(random: _Random) -> Sound:
    return _sine(_pitch_hz(random) * _TIME_S + random.uniform())


def _chord(random: _Random) -> Sound:
    root = _pitch_hz(random, 150.0, 900.0)
    return np.asarray(
        np.sum([_sine(root * ratio * _TIME_S + random.uniform()) for ratio in (1, 5 / 4, 3 / 2)], axis=0)
    )


def _sweep(random: _Random, direction: int) -> Sound:
    low, octaves = _pitch_hz(random, 150.0, 600.0), random.uniform(1.5, 3.0)
    along = _TIME_S / _TIME_S[-1]
    pitch = low * 2 ** (octaves * (along if direction > 0 else 1 - along))
    return _sine(np.cumsum(pitch) / RATE_HZ + random.uniform())


def _hum(random: _Random) -> Sound:
    """Noise of low frequencies only."""
    from scipy.signal import lfilter

    near = np.exp(-2 * np.pi * random.uniform(80, 250) / RATE_HZ)
    found: Sound = lfilter([1 - near], [1, -near], random.normal(size=len(_TIME_S)))
    return found


def _clicks(random: _Random) -> Sound:
    since = np.mod(_TIME_S + random.uniform(), 1 / random.uniform(5, 20))
    return np.asarray(np.exp(-since * 900)) * _sine(random.uniform(1_500, 4_000) * since)


def _tremolo(random: _Random) -> Sound:
    swell = 1 + 0.9 * _sine(random.uniform(4, 10) * _TIME_S + random.uniform())
    return swell * _tone(random)


def _vibrato(random: _Random) -> Sound:
    wobble = random.uniform(0.5, 2.0) * _sine(random.uniform(4, 8) * _TIME_S)
    return _sine(_pitch_hz(random) * _TIME_S + wobble * 4 + random.uniform())


def _plucked(random: _Random) -> Sound:
    """Strings struck a few times a second: harmonics that fade, the higher ones sooner."""
    pitch = _pitch_hz(random, 100.0, 500.0)
    since = np.mod(_TIME_S + random.uniform(), random.uniform(0.2, 0.5))
    return np.asarray(
        np.sum([np.exp(-since * 5 * n) * _sine(n * pitch * since) / n for n in range(1, 9)], axis=0)
    )


KINDS: Final[Mapping[str, Callable[[_Random], Sound]]] = {
    "tone": _tone,
    "chord": _chord,
    "rising sweep": lambda random: _sweep(random, +1),
    "falling sweep": lambda random: _sweep(random, -1),
    "white noise": lambda random: random.normal(size=len(_TIME_S)),
    "hum": _hum,
    "clicks": _clicks,
    "tremolo": _tremolo,
    "vibrato": _vibrato,
    "plucked": _plucked,
}
"""By class."""
