"""The map of a space: its vectors seen along the two directions in which they differ most.

In a shaped space these directions are those of the epoch's transform: it turns down most what varies most. So
they are the same for all points of the epoch, at every validator, and no point jumps when others come.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from node.gallery import MixedSpacesError
from node.gallery.cache import Cache
from node.gallery.errors import translated
from node.gallery.items_table import EVERYTHING
from node.gallery.limits import CACHED_SPACES, DIMENSIONS
from node.gallery.placed import Placed, placed_vectors
from node.gallery.spaces import GallerySpace, choose_space
from node.gallery.transform import Affine, affine_of
from node.search_process.following import Following
from node.search_process.searching import mixed, no_such_space, shortened
from node.search_process.wire import Drawn, Point, Projection
from node.space import SpaceError
from protocol.epochs.learnt import LearntError

SUFFIX: Final = ".map.npz"
FIT_ROWS_MIN: Final = 64
"""Of fewer vectors directions are not kept: the next map looks for better ones."""
FIT_ROWS_MAX: Final = 4_096
"""Vectors that directions are fitted to where no transform tells them."""
PREVIEW_CHARACTERS: Final = 120
DECIMALS: Final = 4


@dataclass(frozen=True)
class Axes:
    """Places are (x - middle) @ directions."""

    middle: npt.NDArray[np.float64]  # [D]
    directions: npt.NDArray[np.float64]
    """[D, 2] orthonormal; of each the largest component is positive."""


class Mapper:
    """Draws items on a map, the newest first."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._axes: dict[bytes, Axes] = {}
        """By space, CACHED_SPACES at most."""

    def draw(self, asked: Projection) -> Drawn:
        """The points asked for. Raises SearchRefusedError, GalleryStorageError."""
        gallery, cache = self._following.gallery, self._following.cache
        kinds = gallery.kinds(EVERYTHING)
        if not kinds:
            return Drawn(None, (), 0)
        try:
            space = choose_space(gallery, kinds, asked.space, self._following.spaces)
            with cache.building():
                affine = affine_of(space.fingerprint, space.moments, cache)
                placed = placed_vectors(gallery, space, affine, cache)
                axes = self._found_axes(space, affine, placed, cache)
        except (SpaceError, LearntError) as error:
            raise no_such_space(self._following, asked.space) from error
        except MixedSpacesError as error:
            raise mixed(asked.space) from error
        return Drawn(space.name, self._points(asked, placed, axes), int((placed.rows >= 0).sum()))

    def _points(self, asked: Projection, placed: Placed, axes: Axes) -> tuple[Point, ...]:
        gallery = self._following.gallery
        if asked.item_ids:
            found = [gallery.item(item_id) for item_id in asked.item_ids]
            rows = np.array([one.row for one in found if one is not None], np.int64)
        else:
            rows = gallery.newest_rows(asked.limit)
        places = np.flatnonzero(np.isin(placed.rows, rows))
        at = (placed.vectors[places] - axes.middle) @ axes.directions  # [n, D] @ [D, 2]
        where = dict(zip(placed.rows[places].tolist(), at.round(DECIMALS).tolist(), strict=True))
        items = gallery.items_at(list(where))
        return tuple(
            Point(
                items[row].item_id,
                x=where[row][0],
                y=where[row][1],
                round=items[row].round,
                preview=shortened(items[row].preview, PREVIEW_CHARACTERS),
            )
            for row in rows.tolist()
            if row in items
        )

    def _found_axes(self, space: GallerySpace, affine: Affine, placed: Placed, cache: Cache) -> Axes:
        found = self._axes.get(space.fingerprint) or _read(cache, space)
        if found is None:
            vectors = placed.vectors[placed.rows >= 0] if affine.matrix is None else None
            found = axes_of_vectors(vectors) if vectors is not None else axes_of_transform(affine)
            if vectors is not None and len(vectors) < FIT_ROWS_MIN:
                return found
            _write(cache, space, found)
        while len(self._axes) >= CACHED_SPACES:
            self._axes.pop(next(iter(self._axes)))
        self._axes[space.fingerprint] = found
        return found


def axes_of_transform(affine: Affine) -> Axes:
    """The eigenvectors that the transform turns down most: those of the largest variance before it.

    It divides variances by about their square roots: what varied most before, varies most after it too.
    """
    from scipy.linalg import eigh

    assert affine.matrix is not None
    _, directions = eigh(affine.matrix.astype(np.float64), subset_by_index=(0, 1))
    return Axes(np.zeros(DIMENSIONS), _signed(directions))


def axes_of_vectors(vectors: npt.NDArray[np.float32]) -> Axes:
    """The first two principal components of the vectors [n, D], or of FIT_ROWS_MAX of them."""
    from scipy.linalg import eigh

    rows = vectors[:: -(-len(vectors) // FIT_ROWS_MAX)].astype(np.float64)
    middle = rows.mean(axis=0)
    apart = rows - middle
    _, directions = eigh(apart.T @ apart, subset_by_index=(DIMENSIONS - 2, DIMENSIONS - 1))
    return Axes(middle, _signed(directions[:, ::-1]))


def _signed(directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[D, 2] with the largest component of each positive: a solver may turn either round."""
    largest = directions[np.abs(directions).argmax(axis=0), [0, 1]]
    return directions * np.where(largest < 0, -1.0, 1.0)


def _read(cache: Cache, space: GallerySpace) -> Axes | None:
    try:
        path = cache.path(space.fingerprint, SUFFIX)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = Axes(arrays["middle"], arrays["directions"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RuntimeError):
        return None
    sound = (found.middle.shape, found.directions.shape) == ((DIMENSIONS,), (DIMENSIONS, 2))
    return found if sound and bool(np.isfinite(found.directions).all()) else None


def _write(cache: Cache, space: GallerySpace, axes: Axes) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, middle=axes.middle, directions=axes.directions)
    path = cache.path(space.fingerprint, SUFFIX)
    with translated(path):
        cache.replace(path, buffer.getvalue())
