"""An approximate index beside a large gallery (HNSW, by usearch): candidates, to be ranked exactly."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from blake3 import blake3

from node.gallery.backend import Method
from node.gallery.cache import Cache
from node.gallery.errors import GalleryStorageError, translated
from node.gallery.exact import cosines
from node.gallery.limits import DIMENSIONS, TERMS_MAX
from node.gallery.placed import Placed
from node.gallery.spaces import GallerySpace

SUFFIX: Final = ".index"
STATE: Final = ".index-state"

CONNECTIVITY: Final = 16
EXPANSION_ADD: Final = 128
EXPANSIONS_SEARCH: Final = (64, 128, 256, 512, 1_024)
"""How many candidates are held while searching: the least that recalls enough is taken."""
RECALL_MIN: Final = 0.95
RECALL_AT: Final = 10
RECALL_PROBES: Final = 64
SURPLUS: Final = 3
"""Candidates fetched for each neighbour asked: the index holds 8 bits a coordinate, the ranking all."""
ADD_ROWS: Final = 1_024
GROWTH_MAX: Final = 0.5
"""More new vectors than this share, and the index is built anew: grown ones recall less."""
DEAD_SHARE_MAX: Final = 0.1
_ENDS_BYTES: Final = 1 << 20

OnIndexed = Callable[[int, int], None]
"""Told (indexed, all)."""


class _State(msgspec.Struct, frozen=True):
    file_id: bytes
    """Of the placed vectors whose places are the keys."""
    count: int
    """Places indexed: the first ones."""
    expansion: int
    recall: float
    size_bytes: int
    ends: bytes
    """blake3 of the first and last mebibyte of the index."""


@dataclass(frozen=True)
class VectorIndex:
    """An index that recalled enough when it was measured."""

    handle: Any
    recall: float
    """Of the RECALL_AT nearest of RECALL_PROBES stored vectors, against exact search."""

    @property
    def method(self) -> Method:
        """By an index."""
        return Method.INDEX

    def candidates(
        self, probe: npt.NDArray[np.float32], k: int, allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Places that are probably the nearest, SURPLUS for each of k, the allowed of them."""
        # A probe's own items are all that is not allowed, beside those removed.
        found = self.handle.search(probe, min(len(allowed), SURPLUS * k + TERMS_MAX), threads=1)
        places = np.sort(np.asarray(found.keys).astype(np.int64))
        return places[allowed[places]]


def opened_index(
    placed: Placed, space: GallerySpace, cache: Cache, on_indexed: OnIndexed | None = None
) -> VectorIndex | None:
    """The index of these placed vectors, built or grown where it is stale; None if none recalls RECALL_MIN.

    Never one of another space, or of vectors placed before: it names the file whose places are its keys.
    Building takes minutes. Call it while the cache is held. Raises GalleryStorageError.
    """
    path, state_path = cache.path(space.fingerprint, SUFFIX), cache.path(space.fingerprint, STATE)
    state = cache.read_state(state_path, _State)
    if state is not None and not _is_of(state, placed):
        state = None
    if (
        state is not None
        and cache.index is not None
        and state.count == len(placed.rows)
        and cache.index[0] == _name(state)
    ):
        kept: VectorIndex = cache.index[1]
        return kept
    if state is not None and not _is_whole(state, path):
        state = None
    with translated(cache.folder):
        if state is None or state.count < len(placed.rows):
            state = _built(placed, state, path, on_indexed)
            cache.write_state(state_path, state)
    if state.recall < RECALL_MIN:
        return None
    opened = VectorIndex(_opened(path, state.expansion, view=True), state.recall)
    cache.index = (_name(state), opened)
    return opened


def _name(state: _State) -> tuple[bytes, bytes, int]:
    """What an index that is open was made of."""
    return state.file_id, state.ends, state.count


def _is_whole(state: _State, path: Path) -> bool:
    return path.is_file() and path.stat().st_size == state.size_bytes and _ends(path) == state.ends


def _is_of(state: _State, placed: Placed) -> bool:
    count = len(placed.rows)
    dead = int((placed.rows[: state.count] < 0).sum())
    return (
        state.file_id == placed.file_id
        and state.count <= count <= state.count * (1 + GROWTH_MAX)
        and dead <= DEAD_SHARE_MAX * count
    )


def _built(placed: Placed, state: _State | None, path: Path, on_indexed: OnIndexed | None) -> _State:
    if state is None:
        index, start = _new(), 0
    else:
        index, start = _opened(path, EXPANSIONS_SEARCH[0], view=False), state.count
    total = len(placed.rows)
    for first in range(start, total, ADD_ROWS):
        places = np.arange(first, min(first + ADD_ROWS, total))
        living = places[placed.rows[places] >= 0]
        if len(living):
            index.add(living.astype(np.uint64), placed.vectors[living], threads=1)
        if on_indexed is not None:
            on_indexed(int(places[-1]) + 1, total)
    expansion, recall = _tuned(index, placed)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        index.save(str(draft))
        draft.replace(path)
    except RuntimeError as error:
        raise GalleryStorageError(f"cannot write {draft} ({error}): free some space") from error
    finally:
        draft.unlink(missing_ok=True)
    return _State(placed.file_id, total, expansion, recall, path.stat().st_size, _ends(path))


def _tuned(index: Any, placed: Placed) -> tuple[int, float]:
    """The least expansion that recalls enough, and what it recalls; the largest where none does."""
    living = np.flatnonzero(placed.rows >= 0)
    probes = living[:: max(1, len(living) // RECALL_PROBES)][:RECALL_PROBES]
    exact = []
    for place in probes:
        scores = cosines(placed.vectors, placed.vectors[place])
        scores[placed.rows < 0] = -np.inf
        count = min(RECALL_AT, len(living))
        exact.append(set(np.argpartition(-scores, count - 1)[:count].tolist()))
    recall = 0.0
    for expansion in EXPANSIONS_SEARCH:
        index.expansion_search = expansion
        hits = asked = 0
        for place, truth in zip(probes, exact, strict=True):
            found = index.search(placed.vectors[place], SURPLUS * RECALL_AT, threads=1).keys
            hits += len(truth & set(np.asarray(found).astype(np.int64).tolist()))
            asked += len(truth)
        recall = hits / max(1, asked)
        if recall >= RECALL_MIN:
            return expansion, recall
    return EXPANSIONS_SEARCH[-1], recall


def _new() -> Any:
    from usearch.index import Index

    # 8 bits a coordinate: a quarter of the memory, and a sixth of the time it takes to build.
    return Index(
        ndim=DIMENSIONS,
        metric="ip",
        dtype="i8",
        connectivity=CONNECTIVITY,
        expansion_add=EXPANSION_ADD,
        expansion_search=EXPANSIONS_SEARCH[0],
    )


def _opened(path: Path, expansion: int, *, view: bool) -> Any:
    index = _new()
    if view:
        index.view(str(path))
    else:
        index.load(str(path))
    index.expansion_search = expansion
    return index


def _ends(path: Path) -> bytes:
    """Digest of both ends of a file: enough to tell a torn one, without reading hundreds of megabytes."""
    hasher = blake3()
    with path.open("rb") as file:
        hasher.update(file.read(_ENDS_BYTES))
        file.seek(max(0, path.stat().st_size - _ENDS_BYTES), os.SEEK_SET)
        hasher.update(file.read(_ENDS_BYTES))
    return hasher.digest()
