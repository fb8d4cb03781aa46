"""Text as hashed words and character n-grams: what the text model looks its vectors up by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

WORDS_KEPT: Final = 65_536
"""Words whose n-grams are remembered, some 1 KiB each."""
WORD_CHARACTERS_MAX: Final = 64
"""Longer words are read by their beginning: one long word must not take a view over."""
_EDGE_PUNCTUATION: Final = "\"'`\u201c\u201d\u2018\u2019()[]{}<>.,;:!?*_"


def hashed_views(
    views: Sequence[str], buckets: int, gram_characters: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """(buckets of all grams, where each view begins among them, weight of each gram).

    A word is itself and its n-grams, each with 1 / their number: every word counts the same in its view, and
    the weights of a view sum to 1. A view without a word has none. crc32 and not hash(): the same in every
    process.
    """
    slots: list[NDArray[np.int64]] = []
    weights: list[NDArray[np.float32]] = []
    starts, at = [], 0
    for view in views:
        starts.append(at)
        words = [_gram_slots(word, buckets, gram_characters) for word in _words(view)]
        for word in words:
            slots.append(word)
            weights.append(np.full(len(word), 1.0 / (len(word) * len(words)), np.float32))
            at += len(word)
    if not slots:
        return np.zeros(0, np.int64), np.array(starts, np.int64), np.zeros(0, np.float32)
    return np.concatenate(slots), np.array(starts, np.int64), np.concatenate(weights)


@lru_cache(maxsize=WORDS_KEPT)
def _gram_slots(word: str, buckets: int, gram_characters: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array([crc32(gram.encode()) % buckets for gram in _grams(word, gram_characters)], np.int64)


def _words(view: str) -> Iterator[str]:
    for raw in view.lower().split():
        # A word of punctuation alone stands for itself, so that only an empty view has no grams.
        yield (raw.strip(_EDGE_PUNCTUATION) or raw)[:WORD_CHARACTERS_MAX]


def _grams(word: str, gram_characters: tuple[int, ...]) -> Iterator[str]:
    yield f" {word}"  # a space keeps whole words apart from n-grams
    edged = f"<{word}>"
    for size in gram_characters:
        for start in range(len(edged) - size + 1):
            yield edged[start : start + size]
