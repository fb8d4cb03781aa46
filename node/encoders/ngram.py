"""A hashed n-gram encoder: words and character n-grams counted into buckets, with no model at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from zlib import crc32

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import View, as_texts, unit_rows

BUCKETS: Final = 1024
GRAM_CHARACTERS: Final = (3, 4, 5)
WORD_CHARACTERS_MAX: Final = 64
"""Longer words are counted by their beginning: one long word must not take a view over."""
_EDGE_PUNCTUATION: Final = "\"'`\u201c\u201d\u2018\u2019()[]{}<>.,;:!?*_"


class HashedNgrams:
    """Signed feature hashing (Weinberger et al., 2009) of words and of their 3- to 5-grams.

    crc32 and not hash(): the same in every process and on every machine.
    """

    name = "ngram"
    dimensions = BUCKETS

    def fingerprint(self) -> bytes:
        """Digest of the constants above."""
        return blake3(
            repr((BUCKETS, GRAM_CHARACTERS, WORD_CHARACTERS_MAX, _EDGE_PUNCTUATION)).encode()
        ).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, BUCKETS] float32 at unit norm; zeros for a view without a word."""
        rows = np.zeros((len(views), BUCKETS), dtype=np.float32)
        slots_of: dict[str, list[int]] = {}  # lives for one call: bounded by the distinct words of its views
        for row, view in zip(rows, as_texts(views, self.name), strict=True):
            slots: list[int] = []
            for word in _words(view):
                known = slots_of.get(word)
                if known is None:
                    known = slots_of[word] = [crc32(gram.encode()) % (2 * BUCKETS) for gram in _grams(word)]
                slots += known
            counts = np.bincount(np.array(slots, dtype=np.int64), minlength=2 * BUCKETS)
            row[:] = counts[:BUCKETS] - counts[BUCKETS:]  # the upper half of the slots counts negatively
        return unit_rows(rows)


def _words(view: str) -> Iterator[str]:
    for raw in view.lower().split():
        # A word of punctuation alone stands for itself, so that only an empty view has no features.
        yield (raw.strip(_EDGE_PUNCTUATION) or raw)[:WORD_CHARACTERS_MAX]


def _grams(word: str) -> Iterator[str]:
    yield f" {word}"  # a space keeps whole words apart from n-grams
    edged = f"<{word}>"
    for size in GRAM_CHARACTERS:
        for start in range(len(edged) - size + 1):
            yield edged[start : start + size]
