"""The forger: never encodes an inverse, but makes it up from the mask, and the full from both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.encoder import Encoder, unit_rows
from node.encoders.strategy import WaveAnswer, generator_for, random_rows

GUESS_SPREAD: Final = 0.5
"""Share of a guessed full that is made up, against the mask's own vector: what the mask does not show."""


@dataclass(frozen=True, slots=True)
class ForgedInverse:
    """Encodes wave 1; forges wave 2 from the mask that shares most rare words; recomposes wave 3's fulls."""

    encoder: Encoder
    seed: int
    name: str = "forged-inverse"
    delay_after_deadline_ms: int | None = None

    def answer(
        self, wave: int, views: Sequence[str], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32."""
        if wave == 2 and 1 in history and history[1].views:
            return self._forged_inverses(views, history[1])
        answers = self.encoder.encode(views)
        if wave == 3 and 1 in history and 2 in history:
            _recompose(answers, views, history[1], history[2])
        return answers

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""

    def _forged_inverses(self, views: Sequence[str], masks: WaveAnswer) -> NDArray[np.float32]:
        """inverse = unit(guess of full - share * mask), the guess being the mask and something made up."""
        generator = generator_for(self.seed, 2, views)
        matched = _matched_masks(views, masks.views)
        mask_rows = masks.answers[matched]  # [n, DIMENSIONS]
        invented = random_rows(len(views), generator)
        guesses = unit_rows((1 - GUESS_SPREAD) * mask_rows + GUESS_SPREAD * invented)
        shares = np.array([_share(masks.views[m], view) for m, view in zip(matched, views, strict=True)])
        return unit_rows(guesses - shares[:, None].astype(np.float32) * mask_rows)


def _share(mask: str, inverse: str) -> float:
    mask_words, inverse_words = len(mask.split()), len(inverse.split())
    return mask_words / max(1, mask_words + inverse_words)


def _matched_masks(inverses: Sequence[str], masks: Sequence[str]) -> list[int]:
    """For each inverse the index of a mask: the likeliest pairs first, by shared words weighted by rarity."""
    mask_words, inverse_words = [_words(mask) for mask in masks], [_words(view) for view in inverses]
    seen_in = Counter(word for words in (*mask_words, *inverse_words) for word in words)
    rarity = {word: math.log((len(masks) + len(inverses)) / count) for word, count in seen_in.items()}
    likeness = [  # [inverses][masks]
        [sum(rarity[word] for word in inverse & mask) / math.sqrt(1 + len(mask)) for mask in mask_words]
        for inverse in inverse_words
    ]
    pairs = sorted(
        ((likeness[i][m], i, m) for i in range(len(inverses)) for m in range(len(masks))),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for _, inverse_index, mask_index in pairs:
        if inverse_index not in matched and mask_index not in taken:
            matched[inverse_index] = mask_index
            taken.add(mask_index)
    # More inverses than masks never come by protocol; any mask serves those left over.
    return [matched.get(index, index % len(masks)) for index in range(len(inverses))]


def _recompose(
    answers: NDArray[np.float32], views: Sequence[str], masks: WaveAnswer, inverses: WaveAnswer
) -> None:
    """Overwrite the answers of fulls, told by holding a mask and an inverse exactly, with their sum."""
    inverse_of = {_bag(view): index for index, view in enumerate(inverses.views)}
    mask_bags = [(index, Counter(view.split())) for index, view in enumerate(masks.views)]
    for row, view in enumerate(views):
        words = Counter(view.split())
        for mask_index, mask_words in mask_bags:
            if not mask_words <= words:
                continue
            inverse_index = inverse_of.get(frozenset((words - mask_words).items()))
            if inverse_index is not None:
                share = sum(mask_words.values()) / max(1, sum(words.values()))
                parts = share * masks.answers[mask_index] + (1 - share) * inverses.answers[inverse_index]
                answers[row] = unit_rows(parts[None])[0]
                break


def _words(view: str) -> frozenset[str]:
    return frozenset(view.lower().split())


def _bag(view: str) -> frozenset[tuple[str, int]]:
    return frozenset(Counter(view.split()).items())
