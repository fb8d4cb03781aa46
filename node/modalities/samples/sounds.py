"""Synthesised sounds of about a second: notes, glides, voices, noises and beats, two or three at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from node.modalities.audio_item import RATE_HZ, encode_audio
from node.modalities.mdct import FRAME_SAMPLES
from node.modalities.samples.part import SEEDS, Part

FRAMES: Final = 64
SAMPLES: Final = FRAMES * FRAME_SAMPLES
"""1.024 seconds."""
_COUNTS: Final[dict[Part, int]] = {"anchors": 1050, "items": 2100}
_PEAK_MAX: Final = 0.9
_DECAYS_HEARD: Final = 7
"""After so many times the time in which it decays by e a sound is 60 dB down, and is cut."""

Sound = npt.NDArray[np.float64]

_SECONDS: Final = np.arange(SAMPLES) / RATE_HZ
_FREQUENCIES_HZ: Final = np.fft.rfftfreq(SAMPLES, 1 / RATE_HZ)


def sound_items(part: Part) -> Iterator[bytes]:
    """Sounds of 64 frames, each from a seed of its own."""
    for index in range(_COUNTS[part]):
        draw = np.random.default_rng([SEEDS[part], index])
        layers = [_layer(draw, index + layer) for layer in range(draw.integers(1, 4))]
        sound = np.sum(layers, axis=0)
        sound *= draw.uniform(0.2, _PEAK_MAX) / np.abs(sound).max()
        yield encode_audio(sound.astype(np.float32))


def _layer(draw: np.random.Generator, kind: int) -> Sound:
    sound = _KINDS[kind % len(_KINDS)](draw)
    sound *= draw.uniform(0.3, 1.0) / np.sqrt(np.mean(sound**2))
    return sound


def _pitch_hz(draw: np.random.Generator, low: float, high: float) -> float:
    """Evenly over octaves."""
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def _envelope(draw: np.random.Generator) -> Sound:
    """Attack and decay, or a tremolo."""
    if draw.random() < 0.3:
        return 1 + draw.uniform(0.3, 0.9) * np.sin(2 * np.pi * draw.uniform(2, 12) * _SECONDS)
    onset, attack, decay = draw.uniform(0, 0.4), draw.uniform(0.005, 0.1), draw.uniform(0.1, 1.0)
    since = _SECONDS - onset
    return np.where(since < 0, 0.0, np.minimum(since / attack, np.exp(-(since - attack) / decay)))


def _harmonics(phase: Sound, loudness: npt.NDArray[np.float64]) -> Sound:
    """The sum of loudness[n - 1] * sin(n * phase), each sine from the two before it (Chebyshev)."""
    double_cosine = 2 * np.cos(phase)
    before, sine = np.zeros_like(phase), np.sin(phase)
    total = np.zeros_like(phase)
    for level in loudness:
        total += level * sine
        before, sine = sine, double_cosine * sine - before
    return total


def _notes(draw: np.random.Generator) -> Sound:
    """A run of plucked notes with a few harmonics."""
    sound = np.zeros(SAMPLES)
    for start in np.arange(0, SAMPLES, SAMPLES // draw.integers(2, 7)):
        pitch, decay = _pitch_hz(draw, 110, 1760), draw.uniform(0.02, 0.15)
        since = _SECONDS[: min(SAMPLES - start, int(_DECAYS_HEARD * decay * RATE_HZ))]
        note = _harmonics(2 * np.pi * pitch * since, 1 / np.arange(1, 6))
        sound[start : start + len(since)] += note * np.exp(-since / decay)
    return sound


def _chirp(draw: np.random.Generator) -> Sound:
    """A glide between two pitches, even in octaves."""
    begin, end = _pitch_hz(draw, 80, 7000), _pitch_hz(draw, 80, 7000)
    rate = np.log(end / begin) / _SECONDS[-1] or 1e-9
    phase = 2 * np.pi * begin * np.expm1(rate * _SECONDS) / rate
    return np.sin(phase) * _envelope(draw)


def _voice(draw: np.random.Generator) -> Sound:
    """A harmonic stack with vibrato under three resonances, as vowels have."""
    pitch = _pitch_hz(draw, 90, 400)
    vibrato = draw.uniform(0, 3) * np.sin(2 * np.pi * draw.uniform(3, 8) * _SECONDS)
    phase = 2 * np.pi * pitch * _SECONDS + vibrato
    harmonics = np.arange(1, int(5500 / pitch) + 1)
    centres = np.array([_pitch_hz(draw, 250, 900), _pitch_hz(draw, 900, 2600), _pitch_hz(draw, 2400, 4500)])
    loudness = (
        np.exp(-0.5 * ((harmonics[:, None] * pitch - centres) / (0.12 * centres)) ** 2).sum(axis=1) + 0.02
    )
    return _harmonics(phase, loudness) * _envelope(draw)


def _noise(draw: np.random.Generator) -> Sound:
    """Noise of a slope between white and brown, within a band."""
    spectrum = np.fft.rfft(draw.normal(0, 1, SAMPLES))
    centre = _pitch_hz(draw, 150, 6000)
    spectrum *= np.maximum(_FREQUENCIES_HZ, 20.0) ** -draw.uniform(0, 1)
    spectrum *= np.exp(
        -0.5 * (np.log2(np.maximum(_FREQUENCIES_HZ, 1.0) / centre) / draw.uniform(0.2, 2)) ** 2
    )
    return np.fft.irfft(spectrum, SAMPLES) * _envelope(draw)


def _beats(draw: np.random.Generator) -> Sound:
    """Clicks at an even pace, each a short burst that rings."""
    sound = np.zeros(SAMPLES)
    pitch, ring = _pitch_hz(draw, 60, 4000), draw.uniform(0.005, 0.06)
    for at in np.arange(draw.uniform(0, 0.1), 1.0, draw.uniform(0.06, 0.35)):
        start = int(at * RATE_HZ)
        since = _SECONDS[: min(SAMPLES - start, int(_DECAYS_HEARD * ring * RATE_HZ))]
        burst = np.sin(2 * np.pi * pitch * since) + draw.normal(0, 0.5, len(since))
        sound[start : start + len(since)] += burst * np.exp(-since / ring)
    return sound


def _modulated(draw: np.random.Generator) -> Sound:
    """A tone whose pitch another tone moves: many side bands (Chowning, 1973)."""
    carrier, ratio = _pitch_hz(draw, 150, 2500), float(draw.choice([0.25, 0.5, 1.0, 1.41, 2.0, 3.0]))
    depth = draw.uniform(0.5, 6) * _envelope(draw)
    moved = depth * np.sin(2 * np.pi * carrier * ratio * _SECONDS)
    return np.sin(2 * np.pi * carrier * _SECONDS + moved) * _envelope(draw)


_KINDS: Final[tuple[Callable[[np.random.Generator], Sound], ...]] = (
    _notes,
    _chirp,
    _voice,
    _noise,
    _beats,
    _modulated,
)
