"""A lapped transform of sound: frames of 256 coefficients, orthonormal, linear, with an exact inverse.

The modified discrete cosine transform (Princen, Johnson and Bradley 1987) with a sine window of 512 samples
and a hop of 256, as the modulated lapped transform (Malvar 1990): fold the signal at every border between two
frames by a rotation, then take the DCT-IV of each frame. Nothing is folded at the two ends of the signal, so
that n frames hold exactly 256 n samples, no sample more is needed, and the whole map is an orthogonal matrix:
the energy of a coefficient is energy of sound, and a mask's sound and its inverse's add up to the whole.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

FRAME_SAMPLES: Final = 256
"""Samples of a frame's hop, which is also its number of coefficients."""

_HALF: Final = FRAME_SAMPLES // 2
# The sine window over its rising half, at the samples right of a border (rising) and left of it (falling).
_ANGLE: Final = np.pi / (2 * FRAME_SAMPLES) * (np.arange(_HALF) + _HALF + 0.5)
_NEAR: Final = np.sin(_ANGLE).astype(np.float32)
_FAR: Final = np.cos(_ANGLE).astype(np.float32)


def forward(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The coefficients float32 [frames, 256] of samples float32 [frames * 256]."""
    blocks = samples.reshape(-1, FRAME_SAMPLES).copy()
    right = blocks[1:, :_HALF]  # [borders, 128], counted away from the border
    left = blocks[:-1, : _HALF - 1 : -1]  # [borders, 128], counted away from the border
    right_was = right.copy()
    right[:] = _NEAR * right_was + _FAR * left
    left[:] = _NEAR * left - _FAR * right_was
    return _dct(blocks)


def inverse(coefficients: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The samples float32 [frames * 256] of coefficients float32 [frames, 256]."""
    blocks = _dct(coefficients)
    right = blocks[1:, :_HALF]
    left = blocks[:-1, : _HALF - 1 : -1]
    right_was = right.copy()
    right[:] = _NEAR * right_was - _FAR * left
    left[:] = _NEAR * left + _FAR * right_was
    samples: npt.NDArray[np.float32] = blocks.reshape(-1)
    return samples


def _dct(blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The orthonormal DCT-IV of each row, which is its own inverse."""
    from scipy.fft import dct  # takes long to import, and only sound needs it

    transformed: npt.NDArray[np.float32] = dct(blocks, type=4, norm="ortho", axis=1)
    return transformed
