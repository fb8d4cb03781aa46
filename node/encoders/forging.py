"""The forger: never encodes an inverse, but makes it up from the mask, and the full from both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.encoder import Encoder, View, answer_rows, as_texts, unit_rows
from node.encoders.strategy import WaveAnswer, generator_for, random_rows

NEIGHBOURS: Final = 4
"""Masks, the likeliest ones to go with an inverse, whose vectors stand in for what the inverse may say.

Of seven ways tried to guess the full this one scored best: .05, against .2 to .3 of the honest.
"""
INVENTED: Final = 0.1
"""Norm of the made-up part of a guess, so that no two forgers answer alike."""


@dataclass(frozen=True, slots=True)
class ForgedInverse:
    """Encodes wave 1; forges wave 2 from the mask that shares most rare words; recomposes wave 3's fulls."""

    encoder: Encoder
    seed: int
    name: str = "forged-inverse"
    delay_after_deadline_ms: int | None = None
    wants_published: bool = False

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32."""
        if wave == 2 and 1 in history and history[1].views:
            return self._forged_inverses(as_texts(views, self.name), history[1])
        answers = self.encoder.encode(views)
        if wave == 3 and 1 in history and 2 in history:
            _recompose(answers, as_texts(views, self.name), history[1], history[2])
        return answers

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""

    def _forged_inverses(self, views: Sequence[str], masks: WaveAnswer) -> NDArray[np.float32]:
        """inverse = unit(guess of full - share * mask), the guess between the mask and its neighbours."""
        mask_texts = as_texts(masks.views, self.name)
        likeness = _likeness(views, mask_texts)  # [n, masks]
        matched = matched_masks(likeness)
        mask_rows = masks.answers[matched]  # [n, DIMENSIONS]
        nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :NEIGHBOURS]  # [n, NEIGHBOURS]
        weights = np.take_along_axis(likeness, nearest, axis=1).astype(np.float32)
        neighbours = unit_rows(np.einsum("nk,nkd->nd", weights, masks.answers[nearest]))
        invented = INVENTED * random_rows(len(views), generator_for(self.seed, 2, views))
        guesses = unit_rows(unit_rows(mask_rows + neighbours) + invented)
        shares = [_share(mask_texts[mask], view) for mask, view in zip(matched, views, strict=True)]
        return answer_rows(guesses - np.array(shares, dtype=np.float32)[:, None] * mask_rows)


def _share(mask: str, inverse: str) -> float:
    mask_words, inverse_words = len(mask.split()), len(inverse.split())
    return mask_words / max(1, mask_words + inverse_words)


def _likeness(inverses: Sequence[str], masks: Sequence[str]) -> NDArray[np.float64]:
    """How likely each mask goes with each inverse, by shared words weighted by rarity: [inverses, masks]."""
    mask_words, inverse_words = [_words(mask) for mask in masks], [_words(view) for view in inverses]
    seen_in = Counter(word for words in (*mask_words, *inverse_words) for word in words)
    rarity = {word: math.log((len(masks) + len(inverses)) / count) for word, count in seen_in.items()}
    return np.array(
        [
            # Summed in sorted order: the order of a set differs between processes.
            [
                sum(rarity[word] for word in sorted(inverse & mask)) / math.sqrt(1 + len(mask))
                for mask in mask_words
            ]
            for inverse in inverse_words
        ]
    ).reshape(len(inverses), len(masks))


def matched_masks(likeness: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each inverse the index of a mask, the likeliest pairs first, each mask once while they last."""
    inverse_count, mask_count = likeness.shape
    # More inverses than masks never come by protocol; those left over share.
    matched = np.array([index % mask_count for index in range(inverse_count)], dtype=np.int64)
    free_inverses, free_masks = set(range(inverse_count)), set(range(mask_count))
    for pair in np.argsort(-likeness, axis=None, kind="stable"):
        inverse, mask = divmod(int(pair), mask_count)
        if inverse in free_inverses and mask in free_masks:
            matched[inverse] = mask
            free_inverses.remove(inverse)
            free_masks.remove(mask)
    return matched


def _recompose(
    answers: NDArray[np.float32], views: Sequence[str], masks: WaveAnswer, inverses: WaveAnswer
) -> None:
    """Overwrite the answers of fulls, told by holding a mask and an inverse exactly, with their sum."""
    mask_texts, inverse_texts = as_texts(masks.views, "forging"), as_texts(inverses.views, "forging")
    for row, mask_index, inverse_index in whole_views(views, mask_texts, inverse_texts):
        share = _share(mask_texts[mask_index], inverse_texts[inverse_index])
        parts = share * masks.answers[mask_index] + (1 - share) * inverses.answers[inverse_index]
        answers[row] = answer_rows(parts[None])[0]


def whole_views(
    views: Sequence[str], masks: Sequence[str], inverses: Sequence[str]
) -> Iterator[tuple[int, int, int]]:
    """The views that hold a mask's and an inverse's words exactly: their index, the mask's, the inverse's."""
    inverse_of = {_bag(view): index for index, view in enumerate(inverses)}
    mask_bags = [(index, Counter(view.split())) for index, view in enumerate(masks)]
    for row, view in enumerate(views):
        words = Counter(view.split())
        for mask_index, mask_words in mask_bags:
            if not mask_words <= words:
                continue
            inverse_index = inverse_of.get(frozenset((words - mask_words).items()))
            if inverse_index is not None:
                yield row, mask_index, inverse_index
                break


def _words(view: str) -> frozenset[str]:
    return frozenset(view.lower().split())


def _bag(view: str) -> frozenset[tuple[str, int]]:
    return frozenset(Counter(view.split()).items())
