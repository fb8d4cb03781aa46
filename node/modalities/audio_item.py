"""Sound as a canonical item: u16 frames and bins, then the int16 coefficients of a lapped transform."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from node.modalities.mdct import FRAME_SAMPLES, forward, inverse
from protocol.modalities import AUDIO
from protocol.modalities.dense import HEADER_BYTES

RATE_HZ: Final = 16_000
BLOCK_FRAMES: Final = AUDIO.rows.block
"""Frames of a unit; an item has a multiple of them."""
FRAMES_MAX: Final = AUDIO.rows.most
"""2.048 seconds."""
COEFFICIENT_MAX: Final = 16.0
"""What the largest int16 stands for.

A full-scale tone comes to 14.4 at most (the window's sum 2 * 512 / pi, over 2, times sqrt(2 / 256)), so
that it is not clipped; a step is 4.9e-4, whose rounding is noise 77 dB below full scale.
"""

_HEADER: Final = struct.Struct(">HH")
_STEPS_PER_UNIT: Final = 32767 / COEFFICIENT_MAX


def decode_audio(view: bytes) -> npt.NDArray[np.float32]:
    """The waveform of an item or view, float32 [frames * 256] at 16 kHz in [-1, 1]. Raises ItemError."""
    samples: npt.NDArray[np.float32] = inverse(audio_coefficients(view))
    return np.clip(samples, -1.0, 1.0, out=samples)


def audio_coefficients(view: bytes) -> npt.NDArray[np.float32]:
    """The coefficients of an item or view, float32 [frames, 256]: linear in the sound. Raises ItemError."""
    AUDIO.check(view)
    steps = np.frombuffer(view, "<i2", offset=HEADER_BYTES).reshape(AUDIO.shape(view))
    return steps.astype(np.float32) * np.float32(1 / _STEPS_PER_UNIT)


def encode_audio(samples: npt.NDArray[np.float32]) -> bytes:
    """The canonical item of a waveform float32 [frames * 256] at 16 kHz in [-1, 1], of an item's length."""
    steps: npt.NDArray[np.int16] = np.clip(np.rint(forward(samples) * _STEPS_PER_UNIT), -32767, 32767).astype(
        "<i2"
    )
    return _HEADER.pack(len(steps), FRAME_SAMPLES) + steps.tobytes()
