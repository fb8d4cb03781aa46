"""Three encoders of sound, on the coefficients themselves: their blocks, their bands, their modulation."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.dense.fixed import cosines, waves
from node.encoders.dense.pooled import DenseEncoder, mean_over
from node.encoders.dense.stimuli import sounds
from node.modalities.audio_item import audio_coefficients
from protocol.modalities import AUDIO

Array = NDArray[np.float32]

BLOCK_FRAMES: Final = AUDIO.rows.block
BLOCK_BINS: Final = AUDIO.columns.block
BANDS: Final = AUDIO.columns.most // BLOCK_BINS
"""Blocks above each other."""
FLOOR: Final = 1e-5
"""Energy under which all is silence: 50 dB below a tone that fills the scale."""
SUBBANDS: Final = 4
"""Of a block."""
BAND_PHASE: Final = 0.6
"""How far waves of neighbouring bands are shifted: what is heard low and what is heard high should differ."""

BLOCK_WIDTHS: Final = (0.25, 0.6)
BLOCK_WAVES: Final = 192


def blocks(coefficients: Array) -> Array:
    """Levels of a block, in 4 sub-bands by 4 pairs of frames, as waves: [n, frames, 256] -> [n, 384]."""
    energy, live = _blocks(coefficients)
    cells = _level(energy.reshape(*energy.shape[:3], 4, 2, SUBBANDS, -1).mean(axis=(4, 6)))
    inputs = _with_band(cells.reshape(*cells.shape[:3], -1))
    return _pooled(waves("audio blocks", inputs, BLOCK_WIDTHS, BLOCK_WAVES), live)


BAND_LEVELS: Final = 6
BAND_FEATURES: Final = BAND_LEVELS + 2


def bands(coefficients: Array) -> Array:
    """How often each of 32 sub-bands has which level, softly: [n, frames, 256] -> [n, 32 * 8]."""
    energy, live = _blocks(coefficients)
    level = _level(energy.reshape(*energy.shape[:4], SUBBANDS, -1).mean(axis=5))
    # level: [n, t, BANDS, frames, SUBBANDS]
    grid = np.linspace(-2.5, 2.5, BAND_LEVELS, dtype=np.float32)
    soft = np.exp(-np.square((level[..., None] - grid) / 0.8) / 2).mean(
        axis=3
    )  # [n, t, BANDS, SUBBANDS, levels]
    change = np.abs(np.diff(level, axis=3)).mean(axis=3)[..., None] * np.float32(0.5)
    parts = np.concatenate([soft, change, level.mean(axis=3)[..., None] * np.float32(0.5)], axis=-1)
    # Over time first: a band that a mask hides for a while is known from the rest of it.
    n, t = live.shape[:2]
    by_band = parts.swapaxes(1, 2).reshape(n * BANDS, t, -1)
    return mean_over(by_band, live.swapaxes(1, 2).reshape(n * BANDS, t)).reshape(n, -1)


MODULATION_WIDTHS: Final = (0.5, 1.5)
MODULATION_WAVES: Final = 192


def modulation(coefficients: Array) -> Array:
    """How a block's level moves along time and along frequency, without the level: -> [n, 384]."""
    energy, live = _blocks(coefficients)
    level = _level(energy)  # [n, t, BANDS, frames, bins]
    along_time = _level(energy.mean(axis=4)) @ cosines(BLOCK_FRAMES)
    along_bins = level.mean(axis=3) @ cosines(BLOCK_BINS)[:, :12]
    rough = np.stack([level.std(axis=(3, 4)), np.abs(np.diff(level, axis=3)).mean(axis=(3, 4))], axis=-1)
    inputs = np.concatenate([np.abs(along_time[..., 1:]), along_bins, rough], axis=-1)
    return _pooled(waves("audio modulation", _with_band(inputs), MODULATION_WIDTHS, MODULATION_WAVES), live)


AUDIO_ENCODERS: Final = (
    DenseEncoder("audio-blocks", "audio", 384, audio_coefficients, blocks, sounds, 0.25),
    DenseEncoder(
        "audio-bands", "audio", BANDS * SUBBANDS * (BAND_LEVELS + 2), audio_coefficients, bands, sounds
    ),
    DenseEncoder("audio-modulation", "audio", 384, audio_coefficients, modulation, sounds),
)


def _blocks(coefficients: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Energies [n, t, BANDS, 8 frames, 32 bins], and which blocks are not neutral [n, t, BANDS]."""
    n, frames, _ = coefficients.shape
    split = coefficients.reshape(n, frames // BLOCK_FRAMES, BLOCK_FRAMES, BANDS, BLOCK_BINS).swapaxes(2, 3)
    return np.square(split), (split != 0).any(axis=(3, 4))


def _level(energy: Array) -> Array:
    """In units of 20 dB above -30 dB, about -1 to 2."""
    level: Array = np.log10(energy + np.float32(FLOOR)) * np.float32(0.5) + np.float32(1.5)
    return level


def _with_band(inputs: Array) -> Array:
    """Inputs [n, t, BANDS, d] with where in frequency they are, as two more."""
    n, t = inputs.shape[:2]
    place = np.linspace(-1, 1, BANDS, dtype=np.float32)
    known = np.stack([place, np.square(place)], axis=-1) * np.float32(BAND_PHASE)
    return np.concatenate([inputs, np.broadcast_to(known, (n, t, BANDS, 2))], axis=-1)


def _pooled(features: Array, live: NDArray[np.bool_]) -> Array:
    n = len(features)
    return mean_over(features.reshape(n, -1, features.shape[-1]), live.reshape(n, -1))
