"""Drawn images, sounds, series and bytes: what features are centred and spread by, the same on every machine.

Nothing is learnt from data, so that a reference depends on code alone. Each kind has the coarse statistics of
real ones: things that cover each other, energy that falls with frequency, values that go on as they were.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from protocol.modalities import AUDIO

Array = NDArray[np.float32]

STIMULI: Final = 320
IMAGE_PIXELS: Final = 64
IMAGE_THINGS: Final = 16
SOUND_FRAMES: Final = 64
SOUND_TONES: Final = 12
SOUND_BINS: Final = AUDIO.columns.most
SERIES_STEPS: Final = 128
STRING_BYTES: Final = 512
STRING_RUNS: Final = 64
_LETTERS: Final = b"    eeeetttaaaooiinnssrrhhllddccuummffppggwwyybbvkxjqz____..,,==(())::\n\n\"'-/TSACIEPN"
_DOMAIN: Final = b"deltamesh stimuli 1 "


@cache
def images() -> NDArray[np.uint8]:
    """Rectangles in front of each other, with colour, shading and grain: uint8 [STIMULI, 64, 64, 3]."""
    side = IMAGE_PIXELS
    drawn = _uniform("images", IMAGE_THINGS, 12, STIMULI, 1, 1).astype(np.float32)
    grain = _uniform("image grain", STIMULI, side, side).astype(np.float32) - np.float32(0.5)
    tint = _uniform("image tints", 5, STIMULI).astype(np.float32)
    base, contrast, rough = (tint[:3].T - 0.5)[:, None, None], tint[3, :, None, None], tint[4, :, None, None]
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    pixels = np.empty((STIMULI, side, side, 3), np.float32)
    for number, thing in enumerate(drawn):
        # The first covers all; later ones shrink, as things do that are seen from anywhere.
        half_y, half_x = thing[2:4] / np.sqrt(1 + number)
        inside = (np.abs(y - thing[0]) < half_y) & (np.abs(x - thing[1]) < half_x) | (number == 0)
        light = (thing[4] - 0.5) * 2 + (thing[5] - 0.5) * y + (thing[6] - 0.5) * x
        stripes = np.sin(48 * np.pi * thing[7] * (y * (thing[8] - 0.5) + x * (thing[9] - 0.5)))
        value = light + 0.5 * thing[10] ** 2 * stripes + 0.8 * thing[11] ** 2 * rough * grain
        colour = base + 0.3 * (np.moveaxis(thing[7:10], 0, -1) - 0.5)
        pixels = np.where(inside[..., None], (contrast * value)[..., None] + colour, pixels)
    return np.rint(np.clip(pixels * 80 + 118, 0, 255)).astype(np.uint8)


def sounds() -> Array:
    """Noise that falls with frequency, lines, and a rhythm, as coefficients: float32 [STIMULI, 64, 256]."""
    drawn = _uniform("sounds", STIMULI, 8)
    tones = _uniform("tones", STIMULI, SOUND_TONES, 3)
    sign = _uniform("sound noise", STIMULI, SOUND_FRAMES, SOUND_BINS) * 2 - 1
    bin_, frame = np.arange(SOUND_BINS), np.arange(SOUND_FRAMES)
    sound = np.empty((STIMULI, SOUND_FRAMES, SOUND_BINS), np.float32)
    for made, one, lines, noise in zip(sound, drawn, tones, sign, strict=True):
        slope = (1 + bin_) ** (-1.6 * one[0])
        spectrum = one[1] * slope / np.sqrt(np.mean(slope**2))
        for place, strength, width in lines:
            centre = SOUND_BINS * place**2
            spectrum = spectrum + 4 * strength**3 * np.exp(-np.abs(bin_ - centre) / (0.5 + 3 * width**2))
        rhythm = 1 + one[2] * np.sin(2 * np.pi * frame * (0.01 + 0.3 * one[3] ** 2) + 6 * one[4])
        fade = np.exp(-3 * one[5] ** 2 * frame / SOUND_FRAMES)
        made[:] = 0.3 * 10 ** (-1.5 * one[6]) * noise * spectrum * (rhythm * fade)[:, None]
    return sound


def series() -> Array:
    """Slow and fast noise, a wave and steps, in deviations: float32 [STIMULI, 128, 1]."""
    drawn = _uniform("series", STIMULI, 8)
    noise = _uniform("series noise", STIMULI, SERIES_STEPS) * 2 - 1
    step = np.arange(SERIES_STEPS)
    made = np.empty((STIMULI, SERIES_STEPS, 1), np.float32)
    for row, one, fresh in zip(made, drawn, noise, strict=True):
        kept, slow, level = 1 - 0.9 * one[0], np.empty(SERIES_STEPS), 0.0
        for place, value in enumerate(fresh):
            level += kept * (value - level)
            slow[place] = level
        phase = 2 * np.pi * (step * (0.005 + 0.25 * one[1] ** 2) + one[2])
        wave = np.sin(phase) if one[3] < 0.6 else np.sign(np.sin(phase))
        row[:, 0] = 2 * slow + 1.5 * one[4] * wave + 1.5 * (one[5] - 0.5) + 0.5 * one[6] ** 2 * fresh
    return made


def strings() -> NDArray[np.uint8]:
    """Runs of letters, of digits, of zeros and small numbers, and of any bytes: uint8 [STIMULI, 512]."""
    drawn = _uniform("strings", STIMULI, 4)
    runs = _uniform("string runs", STIMULI, STRING_RUNS, 1)
    values = _uniform("string values", STIMULI, STRING_RUNS, STRING_BYTES // STRING_RUNS)
    kinds = np.stack(
        [
            np.frombuffer(_LETTERS, np.uint8)[(values * len(_LETTERS)).astype(np.int64)],
            48 + (values * 10).astype(np.int64),
            np.where(values < 0.5, 0, 32 * values**4).astype(np.int64),
            (values * 256).astype(np.int64),
        ]
    )
    share = np.cumsum(drawn**2, axis=1) / np.sum(drawn**2, axis=1, keepdims=True)
    kind = (runs > share[:, None]).sum(axis=2)  # [STIMULI, runs]
    chosen: NDArray[np.int64] = np.take_along_axis(kinds, kind[None, :, :, None], axis=0)[0]
    return chosen.reshape(STIMULI, STRING_BYTES).astype(np.uint8)


def _uniform(name: str, *shape: int) -> NDArray[np.float64]:
    """Fixed numbers in (0, 1)."""
    count = int(np.prod(shape))
    bits = np.frombuffer(blake3(_DOMAIN + name.encode()).digest(length=4 * count), dtype="<u4")
    return ((bits.astype(np.float64) + 0.5) / 2.0**32).reshape(shape)
