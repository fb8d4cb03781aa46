"""Synthetic encoders that compose, bags of words through noisy copies of one space, and the cheats."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

_WORDS = 1500
_TOPICS = 40
_WORDS_PER_ITEM = 48


@dataclass(frozen=True)
class Shard:
    """What `score_shard` takes."""

    full: Tensor
    mask: Tensor
    inverse: Tensor
    share: Tensor

    @property
    def arguments(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four positional arguments."""
        return self.full, self.mask, self.inverse, self.share

    def encoders(self, order: list[int]) -> Shard:
        """The shard with its encoders taken in `order`."""
        return replace(self, full=self.full[order], mask=self.mask[order], inverse=self.inverse[order])

    def items(self, order: Tensor) -> Shard:
        """The shard with its items taken in `order`."""
        full, mask, inverse = self.full[:, order], self.mask[:, order], self.inverse[:, order]
        return Shard(full, mask, inverse, self.share[order])

    def with_encoder(self, at: int, full: Tensor, mask: Tensor, inverse: Tensor) -> Shard:
        """The shard with encoder `at` answering [I, D], [I, K, D], [I, K, D] instead."""
        changed = Shard(self.full.clone(), self.mask.clone(), self.inverse.clone(), self.share)
        changed.full[at], changed.mask[at], changed.inverse[at] = full, mask, inverse
        return changed

    def join(self, other: Shard) -> Shard:
        """Both shards' encoders on the same items."""
        return Shard(
            torch.cat([self.full, other.full]),
            torch.cat([self.mask, other.mask]),
            torch.cat([self.inverse, other.inverse]),
            self.share,
        )


def honest_shard(
    noises: list[float], items: int = 64, masks: int = 2, dimension: int = 128, seed: int = 0
) -> Shard:
    """One encoder for each noise level: the larger, the worse it tells items apart.

    Every encoder sums its own noisy vectors of a text's words, adds a constant of its own, squashes and
    normalises. Texts draw their words from a few topics; masks take spans of words, 15 to
    60 % of them.
    """
    draw = np.random.default_rng(seed)
    topic_of_word = draw.integers(0, _TOPICS, _WORDS)
    topics = draw.normal(size=(_TOPICS, dimension))
    meaning = topics[topic_of_word] + draw.normal(size=(_WORDS, dimension))
    texts = np.stack([_text(draw, topic_of_word) for _ in range(items)])  # [I, W] word of each place
    hidden = np.stack([np.stack([_span(draw) for _ in range(masks)]) for _ in range(items)])  # [I, K, W] bool
    everything = np.ones((items, 1, _WORDS_PER_ITEM), bool)
    chosen = np.concatenate([everything, hidden, ~hidden], 1)  # [I, 1 + 2K, W]
    answers = []
    for noise in noises:
        table = meaning + noise * draw.normal(size=meaning.shape)
        offset = 0.4 * draw.normal(size=dimension)
        mean_vector = np.einsum("ivw,iwd->ivd", chosen, table[texts]) / chosen.sum(2)[..., None]
        squashed = np.tanh(mean_vector + offset)
        answers.append(squashed / np.linalg.norm(squashed, axis=-1, keepdims=True))
    tensor = torch.from_numpy(np.stack(answers)).float()  # [N, I, 1 + 2K, D]
    share = torch.from_numpy(hidden.mean(2)).float()
    return Shard(tensor[:, :, 0], tensor[:, :, 1 : 1 + masks], tensor[:, :, 1 + masks :], share)


def random_answers(shard: Shard, seed: int = 1) -> Shard:
    """One encoder that answers unit noise."""
    draw = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        rows = torch.randn(like[:1].shape, generator=draw)
        return torch.nn.functional.normalize(rows, dim=-1)

    return Shard(noise(shard.full), noise(shard.mask), noise(shard.inverse), shard.share)


def jittered(shard: Shard, size: float, seed: int = 2) -> Shard:
    """The same answers, each off by a random vector of about that length, at unit norm."""
    draw = torch.Generator().manual_seed(seed)

    def moved(rows: Tensor) -> Tensor:
        step = torch.randn(rows.shape, generator=draw) * size / rows.shape[-1] ** 0.5
        return torch.nn.functional.normalize(rows + step, dim=-1)

    return Shard(moved(shard.full), moved(shard.mask), moved(shard.inverse), shard.share)


def cabal_shard(shard: Shard, members: int, spread: float, seed: int = 3) -> Shard:
    """Colluders: one made-up space of their own that composes perfectly, each off by `spread`."""
    dimension = shard.full.shape[2]
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(dimension, dimension, generator=draw)).Q
    leader = shard.encoders([0])
    turned = Shard(leader.full @ turn, leader.mask @ turn, leader.inverse @ turn, shard.share)
    alike = [jittered(turned, spread, seed + 1 + member) for member in range(members)]
    joined = alike[0]
    for other in alike[1:]:
        joined = joined.join(other)
    return joined


def _text(draw: np.random.Generator, topic_of_word: np.ndarray) -> np.ndarray:
    """Words of three topics, most of the first, in order of topic as texts are."""
    topics = draw.choice(_TOPICS, 3, replace=False)
    words = []
    for topic, count in zip(topics, (24, 14, 10), strict=True):
        words.append(draw.choice(np.flatnonzero(topic_of_word == topic), count))
    return draw.permutation(np.concatenate(words))


def _span(draw: np.random.Generator) -> np.ndarray:
    """One mask: a few contiguous spans, 15 to 60 % of the words."""
    hidden = np.zeros(_WORDS_PER_ITEM, bool)
    wanted = int(draw.uniform(0.15, 0.6) * _WORDS_PER_ITEM)
    while hidden.sum() < wanted:
        start = int(draw.integers(0, _WORDS_PER_ITEM))
        hidden[start : start + min(6, wanted - int(hidden.sum()))] = True
    return hidden
