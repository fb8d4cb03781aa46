"""Encoders learnt here and now from the split `fit`: latent semantic analysis and PPMI word vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.bench.hashed import words_of
from node.bench.texts import Split, split_texts
from node.encoders.encoder import View, as_texts, unit_rows

RANK_MAX: Final = 256
"""Ranks below it are the first columns of one decomposition, so that it is computed once."""
VOCABULARY_MAX: Final = 4000
_WORD_COUNT_MIN: Final = 2
_WINDOW_WORDS: Final = 5
_SHIFT: Final = 1.0
"""PPMI is taken above log of this."""
_RARITY: Final = 1e-3
"""a of the weight a / (a + p) of a word of frequency p (Arora et al., 2017)."""
_SCHEME: Final = "deltamesh bench learnt 1"


class LatentSemantics:
    """TF-IDF of a view on the first `rank` directions of the split's own TF-IDF (Deerwester et al., 1990)."""

    def __init__(self, rank: int) -> None:
        self.name = f"lsa-{rank}"
        self.dimensions = rank

    def fingerprint(self) -> bytes:
        """Digest of the texts learnt from and the rank."""
        return _digest("lsa", self.dimensions)

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, rank] float32 at unit norm; zeros for a view without a known word."""
        vectoriser, directions = _lsa()
        return unit_rows(
            np.asarray(
                vectoriser.transform(as_texts(views, self.name)) @ directions[:, : self.dimensions],
                np.float32,
            )
        )


class PpmiVectors:
    """The mean of word vectors, rare words weighing more; vectors from the singular vectors of PPMI.

    Positive pointwise mutual information within windows of 5 words (Levy and Goldberg, 2014).
    """

    def __init__(self, rank: int) -> None:
        self.name = f"ppmi-{rank}"
        self.dimensions = rank

    def fingerprint(self) -> bytes:
        """Digest of the texts learnt from and the rank."""
        return _digest("ppmi", self.dimensions)

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, rank] float32 at unit norm; zeros for a view without a known word."""
        place, vectors = _ppmi()
        rows = np.zeros((len(views), self.dimensions), dtype=np.float32)
        for row, view in zip(rows, as_texts(views, self.name), strict=True):
            known = [place[word] for word in words_of(view) if word in place]
            row += vectors[known, : self.dimensions].sum(axis=0)
        return unit_rows(rows)


def _digest(kind: str, rank: int) -> bytes:
    learnt = (_SCHEME, kind, rank, RANK_MAX, VOCABULARY_MAX, _WORD_COUNT_MIN, _WINDOW_WORDS, _SHIFT, _RARITY)
    return blake3(repr((learnt, split_texts(Split.FIT))).encode()).digest()


@cache
def _lsa() -> tuple[Any, NDArray[np.float32]]:
    """The vectoriser and the directions [terms, RANK_MAX]."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    vectoriser = TfidfVectorizer(analyzer=words_of, sublinear_tf=True, min_df=_WORD_COUNT_MIN)
    rows = vectoriser.fit_transform(split_texts(Split.FIT))
    _, _, right = randomized_svd(rows, RANK_MAX, n_iter=4, random_state=0)
    return vectoriser, np.ascontiguousarray(right.T, dtype=np.float32)


@cache
def _ppmi() -> tuple[dict[str, int], NDArray[np.float32]]:
    """Each word's row, and the vectors [words, RANK_MAX], weighted by rarity."""
    from sklearn.utils.extmath import randomized_svd

    texts = [words_of(text) for text in split_texts(Split.FIT)]
    counts = Counter(word for text in texts for word in text)
    frequent = [pair for pair in counts.most_common(VOCABULARY_MAX) if pair[1] >= _WORD_COUNT_MIN]
    place = {word: row for row, (word, _) in enumerate(frequent)}
    together = np.zeros((len(place), len(place)), dtype=np.float64)
    for text in texts:
        rows = np.array([place[word] for word in text if word in place], dtype=np.int64)
        for gap in range(1, _WINDOW_WORDS + 1):
            np.add.at(together, (rows[:-gap], rows[gap:]), 1.0)
    together += together.T
    per_word = together.sum(axis=1).clip(min=1.0)
    ratio = together * together.sum() / np.outer(per_word, per_word)
    information = np.log(np.maximum(ratio, _SHIFT))
    left, strengths, _ = randomized_svd(information, RANK_MAX, n_iter=4, random_state=0)
    frequency = np.array([count for _, count in frequent]) / sum(counts.values())
    vectors = left * np.sqrt(strengths) * (_RARITY / (_RARITY + frequency))[:, None]
    return place, np.asarray(vectors, dtype=np.float32)
