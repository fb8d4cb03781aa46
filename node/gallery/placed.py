"""All vectors of a gallery placed in one space, in one file that is mapped into memory to be searched."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from node.gallery.backend import SearchedItems
from node.gallery.cache import STATE, Cache
from node.gallery.errors import translated
from node.gallery.items_table import EVERYTHING
from node.gallery.limits import DIMENSIONS, VECTOR_BYTES
from node.gallery.spaces import GallerySpace
from node.gallery.transform import Affine

SUFFIX: Final = ".vectors"
DEAD_SHARE_MAX: Final = 0.25
"""Placed vectors of rows that were removed, before the file is written anew."""

OnRows = Callable[[int, int], None]
"""Told (placed, all)."""


class _State(msgspec.Struct, frozen=True):
    gallery_id: bytes
    generation: int
    space: bytes
    file_id: bytes
    """Drawn anew when the file is written anew: what refers to places in it names it."""
    last_row: int
    rows: bytes
    """Int64 [n]: whose vector lies at each place; -1 for one that was removed."""


@dataclass(frozen=True)
class Placed:
    """Vectors [n, D] at unit norm with their rows [n]; a row of -1 is to be passed over."""

    vectors: npt.NDArray[np.float32]
    rows: npt.NDArray[np.int64]
    file_id: bytes

    def places(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which places hold one of these rows: [n]."""
        return np.isin(self.rows, rows)


def placed_vectors(
    gallery: SearchedItems, space: GallerySpace, affine: Affine, cache: Cache, on_rows: OnRows | None = None
) -> Placed:
    """The vectors of all items in a space, brought up to date: only what is new is placed.

    Call it while the cache is held. A vector without a place in the space is passed over. Raises
    GalleryStorageError.
    """
    facts = gallery.facts()
    path, state_path = cache.path(space.fingerprint, SUFFIX), cache.path(space.fingerprint, STATE)
    state = _kept(cache, path, state_path, facts.gallery_id, space.fingerprint)
    with translated(cache.folder):
        if state is None or state.generation != facts.generation:
            state = _brought_up(gallery, space, affine, state, path, facts.generation, on_rows)
            cache.write_state(state_path, state)
        cache.keep(space.fingerprint)
        rows = np.frombuffer(state.rows, "<i8")
        if not len(rows):
            return Placed(np.zeros((0, DIMENSIONS), np.float32), rows, state.file_id)
        vectors = np.memmap(path, "<f4", "r", shape=(len(rows), DIMENSIONS))
    return Placed(vectors, rows, state.file_id)


def forget_placed(space: GallerySpace, cache: Cache) -> None:
    """Drop a file that was found damaged; the next look builds it anew."""
    cache.path(space.fingerprint, STATE).unlink(missing_ok=True)


def _kept(cache: Cache, path: Path, state_path: Path, gallery_id: bytes, space: bytes) -> _State | None:
    state = cache.read_state(state_path, _State)
    if state is None or (state.gallery_id, state.space) != (gallery_id, space):
        return None
    whole = path.is_file() and path.stat().st_size >= len(state.rows) // 8 * VECTOR_BYTES
    return state if whole and len(state.rows) % 8 == 0 else None


def _brought_up(
    gallery: SearchedItems,
    space: GallerySpace,
    affine: Affine,
    state: _State | None,
    path: Path,
    generation: int,
    on_rows: OnRows | None,
) -> _State:
    live = gallery.rows(EVERYTHING)
    rows = np.zeros(0, np.int64) if state is None else np.frombuffer(state.rows, "<i8")
    rows = np.where(np.isin(rows, live), rows, -1)
    dead = int((rows < 0).sum())
    file_id, last_row = (secrets.token_bytes(16), 0) if state is None else (state.file_id, state.last_row)
    target = path
    if state is None or dead > DEAD_SHARE_MAX * max(1, len(rows)):
        # A new file under the old name: whoever has mapped the old one keeps it.
        rows, last_row, file_id = np.zeros(0, np.int64), 0, secrets.token_bytes(16)
        target = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    found = [rows]
    total, done = len(live), len(rows) - dead
    try:
        with target.open("ab") as file:
            file.truncate(len(rows) * VECTOR_BYTES)
            for part in gallery.vectors_after(last_row):
                placed = space.place(part, affine)
                file.write(placed.astype("<f4", copy=False).tobytes())
                found.append(np.where(placed.any(axis=1), part.rows, -1))
                last_row = int(part.rows[-1])
                done += len(part.rows)
                if on_rows is not None:
                    on_rows(done, total)
            file.flush()
            os.fsync(file.fileno())
        if target != path:
            target.replace(path)
    finally:
        if target != path:
            target.unlink(missing_ok=True)
    rows = np.concatenate(found)
    return _State(
        gallery.facts().gallery_id,
        generation,
        space.fingerprint,
        file_id,
        last_row,
        rows.astype("<i8").tobytes(),
    )
