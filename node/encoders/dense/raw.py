"""Three encoders of raw bytes: n-grams, values, and runs between separators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.dense.pooled import DenseEncoder
from node.encoders.dense.stimuli import strings

Array = NDArray[np.float32]
Bytes = NDArray[np.uint8]

BUCKETS: Final = 512
GRAM_BYTES: Final = (2, 3, 4)
_SPREAD: Final = np.uint32(2_654_435_761)
"""The multiplier of Knuth's multiplicative hashing: 2^32 over the golden ratio."""


def ngrams(data: Bytes) -> Array:
    """Root counts of n-grams of 2 to 4 bytes, hashed with signs (Weinberger et al., 2009): -> [n, 512]."""
    rows = np.empty((len(data), BUCKETS), np.float32)
    wide = data.astype(np.uint32)
    grams = []
    for size in GRAM_BYTES:
        gram = np.full((len(data), max(0, data.shape[1] - size + 1)), size, np.uint32)
        for offset in range(size):
            gram = gram * np.uint32(257) + wide[:, offset : offset + gram.shape[1]]
        grams.append(gram)
    for row, gram in zip(rows, np.concatenate(grams, axis=1), strict=True):
        row[:] = _signed_roots(gram)
    return rows


def values(data: Bytes) -> Array:
    """Root counts of byte values and of pairs of upper halves: [n, size] -> [n, 512]."""
    rows = np.empty((len(data), 512), np.float32)
    upper = (data >> 4).astype(np.int64)
    pairs = upper[:, :-1] * 16 + upper[:, 1:]
    for row, one, pair in zip(rows, data, pairs, strict=True):
        row[:256] = np.sqrt(np.bincount(one, minlength=256) / max(1, len(one)))
        row[256:] = np.sqrt(np.bincount(pair, minlength=256) / max(1, len(pair)))
    return rows


RUN_BYTES_MAX: Final = 12
"""Longer runs are cut."""


def runs(data: Bytes) -> Array:
    """Root counts of runs of letters, of digits, and of other bytes, hashed with signs: -> [n, 512].

    In text these are words; elsewhere a run is what lies between two bytes of another class.
    """
    rows = np.empty((len(data), BUCKETS), np.float32)
    for row, one in zip(rows, data, strict=True):
        kind = _CLASSES[one]
        edges = np.concatenate([[True], kind[1:] != kind[:-1]])
        starts = np.flatnonzero(edges)
        offset = np.arange(len(one)) - starts[np.cumsum(edges) - 1]
        edges |= offset % RUN_BYTES_MAX == 0
        starts = np.flatnonzero(edges)
        place = (np.arange(len(one)) - starts[np.cumsum(edges) - 1]).astype(np.uint32)
        # A sum of spread products and not a rolling hash: reduceat adds whole runs at once.
        mixed = (one.astype(np.uint32) + 1) * (place * np.uint32(2) + 1) * _SPREAD
        row[:] = _signed_roots(np.add.reduceat(mixed ^ (mixed >> 15), starts, dtype=np.uint32))
    return rows


def _classes() -> Bytes:
    found = np.full(256, 3, np.uint8)
    for kind, members in enumerate(
        (b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_", b"0123456789", b" ")
    ):
        found[list(members)] = kind
    found[128:] = 4
    found[:9] = 5
    return found


_CLASSES: Final = _classes()


def _signed_roots(hashes: NDArray[np.uint32]) -> Array:
    slots = (hashes * _SPREAD) >> np.uint32(22)  # 10 bits: a bucket and a sign
    counts = np.sqrt(np.bincount(slots, minlength=2 * BUCKETS) / max(1, len(slots)))
    signed: Array = (counts[:BUCKETS] - counts[BUCKETS:]).astype(np.float32)
    return signed


def _decoded(view: bytes) -> Bytes:
    return np.frombuffer(view, np.uint8)


def _encoder(name: str, features: Callable[[Bytes], Array], spread: float) -> DenseEncoder:
    return DenseEncoder(name, "bytes", BUCKETS, _decoded, features, strings, spread)


RAW_ENCODERS: Final = (
    _encoder("bytes-ngrams", ngrams, 0.25),
    _encoder("bytes-values", values, 0.5),
    _encoder("bytes-runs", runs, 0.25),
)
