"""Encoders without a model: hashed words and character n-grams, and a random direction for every word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final
from zlib import crc32

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import View, as_texts, unit_rows

BUCKETS: Final = 1024
_WORD: Final = re.compile(r"[^\W_]+")
_SCHEME: Final = "deltamesh bench hashed 1"


def words_of(view: str) -> list[str]:
    """The words of a view in lower case; a view of punctuation alone is one word, so that none is empty."""
    return _WORD.findall(view.lower()) or [view]


def characters(size: int) -> Callable[[str], Iterator[str]]:
    """Every run of so many characters of each word, its edges marked."""

    def features(view: str) -> Iterator[str]:
        for word in words_of(view):
            edged = f"<{word}>"
            yield from (edged[at : at + size] for at in range(max(1, len(edged) - size + 1)))

    return features


def words(view: str) -> Iterator[str]:
    """Every word."""
    yield from words_of(view)


def word_pairs(view: str) -> Iterator[str]:
    """Every word, and every two that stand side by side: the order of words counts."""
    found = words_of(view)
    yield from found
    yield from (f"{a} {b}" for a, b in pairwise(found))


class HashedFeatures:
    """Signed feature hashing (Weinberger et al., 2009), counts damped by the square root.

    The seed is part of what is hashed: another seed collides otherwise.
    """

    dimensions = BUCKETS

    def __init__(self, name: str, features: Callable[[str], Iterator[str]], seed: int = 0) -> None:
        self.name = name
        self._features = features
        self._seed = seed

    def fingerprint(self) -> bytes:
        """Digest of the name, which says the features, and of the scheme."""
        return blake3(repr((_SCHEME, self.name, self._seed, BUCKETS)).encode()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, BUCKETS] float32 at unit norm."""
        rows = np.zeros((len(views), 2 * BUCKETS), dtype=np.float32)
        for row, view in zip(rows, as_texts(views, self.name), strict=True):
            slots = [crc32(f"{self._seed} {one}".encode()) % (2 * BUCKETS) for one in self._features(view)]
            row += np.bincount(np.array(slots, dtype=np.int64), minlength=2 * BUCKETS)
        counts = np.sqrt(rows)
        return unit_rows(counts[:, :BUCKETS] - counts[:, BUCKETS:])


class Atoms:
    """The mean of random unit vectors, one for each word: exactly additive, knows no meaning."""

    dimensions = 512

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self._seed = seed

    def fingerprint(self) -> bytes:
        """Digest of the name and the seed."""
        return blake3(repr((_SCHEME, self.name, self._seed, self.dimensions)).encode()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, 512] float32 at unit norm."""
        atoms: dict[str, NDArray[np.float32]] = {}  # lives for one call: bounded by the words of its views
        rows = np.zeros((len(views), self.dimensions), dtype=np.float32)
        for row, view in zip(rows, as_texts(views, self.name), strict=True):
            for word in words_of(view):
                if word not in atoms:
                    atoms[word] = self._atom(word)
                row += atoms[word]
        return unit_rows(rows)

    def _atom(self, word: str) -> NDArray[np.float32]:
        """Signs from blake3's bits: the same on every machine."""
        bits = blake3(f"{self._seed} {word}".encode()).digest(length=self.dimensions // 8)
        signs = np.unpackbits(np.frombuffer(bits, dtype=np.uint8)).astype(np.float32)
        return np.asarray((2 * signs - 1) / np.float32(self.dimensions**0.5), dtype=np.float32)
