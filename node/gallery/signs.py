"""A shortlist by signs: one bit a coordinate, all of them looked at, and the best ranked exactly.

The share of signs in which two vectors differ tells the angle between them (Charikar, 2002). So 128 bytes a
vector are scanned where 4,096 would be. They are held in memory, made in a moment, and need no upkeep, where
a graph takes minutes to build. What they recall is measured; signs that tell too little are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from node.gallery.backend import Method
from node.gallery.cache import Cache
from node.gallery.errors import translated
from node.gallery.index import RECALL_AT, RECALL_MIN, RECALL_PROBES
from node.gallery.limits import DIMENSIONS
from node.gallery.placed import Placed
from node.gallery.spaces import GallerySpace

STATE: Final = ".signs-state"

SIGNS_ROWS_MIN: Final = 20_000
"""Fewer vectors are searched exactly as fast."""
SURPLUSES: Final = (5, 10, 30, 100)
"""Candidates ranked exactly for each neighbour asked: the least that recalls enough. More is no faster."""
MEASURED_AGAIN: Final = 1.25
"""Growth after which recall is measured anew: a larger crowd hides its nearest better."""
BLOCK_ROWS: Final = 8_192
_WORDS: Final = DIMENSIONS // 64
_NOBODY: Final = 0xFFFF

Columns = npt.NDArray[np.uint64]
"""[16, n]: word by word, so that a scan adds up contiguous rows."""


class SignState(msgspec.Struct, frozen=True):
    """What was measured of signs."""

    file_id: bytes
    """Of the placed vectors whose signs these are."""
    count: int
    """How many there were when recall was measured."""
    surplus: int
    recall: float


@dataclass(frozen=True)
class SignIndex:
    """Signs that recalled enough when they were measured."""

    columns: Columns
    surplus: int
    recall: float
    """Of the RECALL_AT nearest of RECALL_PROBES stored vectors, against exact search."""

    @property
    def method(self) -> Method:
        """By signs."""
        return Method.SIGNS

    def candidates(
        self, probe: npt.NDArray[np.float32], k: int, allowed: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int64]:
        """Allowed places that are probably the nearest, ascending: `surplus` for each of the k asked."""
        differing = differences(self.columns, _signs(probe[None])[0])
        differing[~allowed] = _NOBODY
        count = min(self.surplus * k, int(allowed.sum()))
        return _least(differing, count)


def opened_signs(placed: Placed, space: GallerySpace, cache: Cache) -> SignIndex | None:
    """The signs of these placed vectors, brought up to date; None if they recall less than RECALL_MIN.

    Call it while the cache is held. Raises GalleryStorageError.
    """
    state_path, count = cache.path(space.fingerprint, STATE), len(placed.rows)
    held: tuple[bytes, Columns] | None = cache.signs
    columns = np.zeros((_WORDS, 0), np.uint64)
    if held is not None and held[0] == placed.file_id and held[1].shape[1] <= count:
        columns = held[1]
    if columns.shape[1] < count:
        columns = _grown(columns, placed)
        cache.signs = (placed.file_id, columns)
    state = cache.read_state(state_path, SignState)
    if state is None or state.file_id != placed.file_id or count > state.count * MEASURED_AGAIN:
        state = SignState(placed.file_id, count, *_measured(columns, placed))
        with translated(cache.folder):
            cache.write_state(state_path, state)
    return None if state.recall < RECALL_MIN else SignIndex(columns, state.surplus, state.recall)


def differences(columns: Columns, probe: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint16]:
    """In how many of the 1024 signs each vector differs from the probe's [16]: [n]."""
    count = columns.shape[1]
    total = np.zeros(count, np.uint16)
    for start in range(0, count, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        for word in range(_WORDS):
            total[block] += np.bitwise_count(columns[word, block] ^ probe[word])
    return total


def _least(differing: npt.NDArray[np.uint16], count: int) -> npt.NDArray[np.int64]:
    """The places of the least differences, ascending; those that tie with the last are all among them."""
    if count == 0:
        return np.zeros(0, np.int64)
    # Counting beats sorting: there are 1,025 values.
    bound = int(np.searchsorted(np.cumsum(np.bincount(differing, minlength=DIMENSIONS + 1)), count))
    return np.flatnonzero(differing <= bound)


def _signs(rows: npt.NDArray[np.float32]) -> Columns:
    """[n, 16] words."""
    return np.packbits(rows > 0, axis=1).view(np.uint64)


def _grown(columns: Columns, placed: Placed) -> Columns:
    known, count = columns.shape[1], len(placed.rows)
    grown = np.empty((_WORDS, count), np.uint64)
    grown[:, :known] = columns
    for start in range(known, count, BLOCK_ROWS):
        signs = _signs(np.asarray(placed.vectors[start : start + BLOCK_ROWS]))
        grown[:, start : start + len(signs)] = signs.T
    return grown


def _measured(columns: Columns, placed: Placed) -> tuple[int, float]:
    """The least surplus that recalls enough, and what it recalls; the largest where none does."""
    living = np.flatnonzero(placed.rows >= 0)
    probes = living[:: max(1, len(living) // RECALL_PROBES)][:RECALL_PROBES]
    exact = _nearest_of(placed, probes, min(RECALL_AT, len(living)))
    # At which place among the candidates each of the true nearest comes.
    places = []
    for probe, truth in zip(probes, exact, strict=True):
        differing = differences(columns, columns[:, probe])
        differing[placed.rows < 0] = _NOBODY
        here = np.bincount(differing)
        places.append((np.cumsum(here) - here)[differing[truth]])
    found = np.concatenate(places)
    for surplus in SURPLUSES:
        recall = float((found < surplus * RECALL_AT).mean())
        if recall >= RECALL_MIN:
            return surplus, recall
    return SURPLUSES[-1], recall


def _nearest_of(placed: Placed, probes: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """[probes, count] places of the nearest, the probe itself among them, by one pass over all vectors."""
    asked = np.asarray(placed.vectors[probes])
    best = np.full((len(probes), 0), 0.0, np.float32)
    places = np.zeros((len(probes), 0), np.int64)
    for start in range(0, len(placed.rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        scores = asked @ placed.vectors[block].T  # [p, D] @ [D, n]
        scores[:, placed.rows[block] < 0] = -np.inf
        here = np.broadcast_to(np.arange(start, start + scores.shape[1]), scores.shape)
        # The best so far and this block's: memory does not grow with the gallery.
        scores, here = np.concatenate([best, scores], axis=1), np.concatenate([places, here], axis=1)
        kept = np.argpartition(-scores, min(count, scores.shape[1]) - 1, axis=1)[:, :count]
        best, places = np.take_along_axis(scores, kept, 1), np.take_along_axis(here, kept, 1)
    return places
