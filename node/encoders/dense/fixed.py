"""Fixed random numbers: the same on every machine, from blake3's output bits."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

_DOMAIN: Final = b"deltamesh fixed features 1 "
_UNIFORM_SPREAD: Final = np.sqrt(12.0)
"""What a uniform number of width 1 is multiplied by to have unit variance."""


@cache
def fixed_matrix(name: str, rows: int, columns: int) -> NDArray[np.float32]:
    """Entries of mean 0 and variance 1, uniform, read-only: [rows, columns]. Remembered: names are few.

    Uniform, so that no transcendental function stands between the bits and the numbers.
    """
    bits = np.frombuffer(blake3(_DOMAIN + name.encode()).digest(length=4 * rows * columns), dtype="<u4")
    entries = ((bits.astype(np.float64) + 0.5) / 2.0**32 - 0.5) * _UNIFORM_SPREAD
    matrix: NDArray[np.float32] = entries.reshape(rows, columns).astype(np.float32)
    matrix.flags.writeable = False
    return matrix


def waves(
    name: str, inputs: NDArray[np.float32], widths: tuple[float, ...], each: int
) -> NDArray[np.float32]:
    """Random Fourier features (Rahimi and Recht, 2007): [..., d] -> [..., len(widths) * each] in [-1, 1].

    cos(inputs W + b); the mean of them over a set of inputs tells how the set is distributed, finely where a
    width is large, coarsely where it is small.
    """
    parts = fixed_matrix(name, inputs.shape[-1], len(widths) * each)
    scaled = parts * np.repeat(np.asarray(widths, np.float32), each)
    phases = fixed_matrix(f"{name} phases", 1, len(widths) * each)[0] * np.float32(np.pi / np.sqrt(3.0))
    angles: NDArray[np.float32] = inputs @ scaled
    angles += phases
    return np.cos(angles, out=angles)


@cache
def cosines(length: int) -> NDArray[np.float32]:
    """The orthonormal cosine transform of rows of that length: [length, length]."""
    k, x = np.arange(length)[None], np.arange(length)[:, None]
    basis: NDArray[np.float32] = np.sqrt(2.0 / length) * np.cos(np.pi * (x + 0.5) * k / length)
    basis[:, 0] /= np.sqrt(2.0)
    return basis.astype(np.float32)
