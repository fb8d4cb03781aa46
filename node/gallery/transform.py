"""The transform of a space as three arrays, kept beside the gallery: computing it anew takes seconds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from node.gallery.cache import Cache
from node.gallery.errors import translated
from node.gallery.limits import CACHED_SPACES, DIMENSIONS
from node.shaping import transform_of
from protocol.epochs.learnt import moments_from

SUFFIX: Final = ".transform.npz"
_SHORT: Final = 1e-12
_DAMAGE: Final = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError)
"""What reading a missing or damaged file raises."""


@dataclass(frozen=True)
class Affine:
    """placed = hat((c - mean) matrix): as `scoring.shaping`, in numpy, so that a search imports no torch."""

    mean: npt.NDArray[np.float64]  # [D] of centred vectors
    uncentred: npt.NDArray[np.float64]  # [D] of the others
    matrix: npt.NDArray[np.float32] | None
    """[D, D]; None is the identity."""

    def apply(self, raw: npt.NDArray[np.float32], centred: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Raw vectors [n, D], each said to be centred or not, at unit norm; zeros without a direction."""
        moved = raw - np.where(centred[:, None], self.mean, self.uncentred)  # [n, D] float64
        if self.matrix is not None:
            moved = (moved.astype(np.float32) @ self.matrix).astype(np.float64)  # [n, D] @ [D, D]
        norms = np.linalg.norm(moved, axis=1, keepdims=True)
        good = np.isfinite(norms) & (norms > _SHORT)
        return np.where(good, moved / np.where(good, norms, 1.0), 0.0).astype(np.float32)


def identity() -> Affine:
    """What takes lengths out and changes nothing else."""
    zero = np.zeros(DIMENSIONS)
    return Affine(zero, zero, None)


def affine_of(space: bytes, moments: Callable[[], bytes], cache: Cache) -> Affine:
    """The transform that follows from an epoch's canonical moments, b"" for none.

    Kept in the cache under the space's fingerprint; call it while the cache is held. Raises LearntError when
    the moments are damaged, GalleryStorageError.
    """
    found: Affine | None = cache.transforms.get(space)
    if found is None:
        found = _read(cache, space) or _made(cache, space, moments())
        while len(cache.transforms) >= CACHED_SPACES:
            cache.transforms.pop(next(iter(cache.transforms)))
        cache.transforms[space] = found
    return found


def _read(cache: Cache, space: bytes) -> Affine | None:
    path = cache.path(space, SUFFIX)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Affine(arrays["mean"], arrays["uncentred"], arrays["matrix"])
    except _DAMAGE:
        return None
    return found if _sound(found) else None


def _made(cache: Cache, space: bytes, moments: bytes) -> Affine:
    if not moments:
        return identity()
    transform = transform_of(moments_from(moments))
    matrix = transform.shaping.transform.astype(np.float32)
    made = Affine(transform.shaping.mean, transform.uncentred, matrix)
    buffer = io.BytesIO()
    np.savez(buffer, mean=made.mean, uncentred=made.uncentred, matrix=matrix)
    path = cache.path(space, SUFFIX)
    with translated(path):
        cache.replace(path, buffer.getvalue())
    return made


def _sound(found: Affine) -> bool:
    arrays = (found.mean, found.uncentred, found.matrix)
    shapes = [(DIMENSIONS,), (DIMENSIONS,), (DIMENSIONS, DIMENSIONS)]
    kinds = ["f8", "f8", "f4"]
    return all(
        array is not None and array.shape == shape and array.dtype == kind and bool(np.isfinite(array).all())
        for array, shape, kind in zip(arrays, shapes, kinds, strict=True)
    )
