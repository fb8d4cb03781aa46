"""One draw of a split for the quality benchmark: items to score, past items to shape by, texts to find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from blake3 import blake3
from torch import Tensor

from node.bench.errors import BenchError
from node.bench.realigned import AlignedOn, answers_aligned_on
from node.bench.retrieval import GALLERY_TEXTS, halves
from node.bench.texts import Split, split_texts
from node.bench.views import answers_to, draw_items
from scoring.centring import centred, shard_means
from scoring.views import Role, Views


@dataclass(frozen=True)
class Sizes:
    """How much of a split one draw takes."""

    shards: int = 4
    shard_items: int = 128
    """Scored items of a shard, with one mask each."""
    past_items: int = 2048
    """Further items, the past: shaping is fitted on their full views, and alignment may be. A split that has
    fewer gives what it has, if that is half of it."""
    queries: int = 1024
    """Texts of the retrieval task; none of them is an item of the others."""
    queries_max: int = 2048
    """A split that has more beside the past gives whole galleries, up to so many: draws differ less."""


SIZES: Final = Sizes()


@dataclass(frozen=True)
class Sample:
    """Answers of N encoders to one draw."""

    names: tuple[str, ...]
    full: Tensor
    """[N, I, D]: scored items, as they came."""
    mask: Tensor
    """[N, I, 1, D]."""
    inverse: Tensor
    """[N, I, 1, D]."""
    share: Tensor
    """[I, 1]."""
    means: Tensor
    """[N, D]: what the epoch record holds of each encoder."""
    past: Tensor
    """[N, P, D]: centred full views, the scored items' among them."""
    first: Tensor
    """[N, Q, D]: centred first halves."""
    second: Tensor
    """[N, Q, D]."""

    def encoders(self, names: Sequence[str]) -> Sample:
        """The same draw as some of the encoders answer it."""
        if tuple(names) == self.names:
            return self
        rows = [self.names.index(name) for name in names]
        parts = (self.full[rows], self.mask[rows], self.inverse[rows], self.share, self.means[rows])
        return Sample(tuple(names), *parts, self.past[rows], self.first[rows], self.second[rows])


def draw_sample(
    split: Split,
    encoders: Sequence[str],
    seed: int,
    cache_dir: Path,
    sizes: Sizes,
    aligned_on: AlignedOn = AlignedOn.PAST,
) -> Sample:
    """Embed one draw of a split, or read it from the cache. Raises BenchError where the split is small."""
    items = sizes.shards * sizes.shard_items
    drawn = draw_items(split, items, 1, seed)
    past_texts, asked_texts = undrawn(split, drawn.texts, seed, sizes)
    firsts, seconds = halves(asked_texts)
    views = [*drawn.texts, *drawn.parts, *drawn.inverses, *past_texts, *firsts, *seconds]
    past_rows = slice(3 * items, 3 * items + len(past_texts))
    answered = (
        answers_to(views, encoders, cache_dir)
        if aligned_on is AlignedOn.ANCHORS
        else answers_aligned_on(past_rows, views, encoders, cache_dir, split_texts(split))
    )
    rows = torch.from_numpy(answered)  # [N, 3I + P' + 2Q, D]
    full = rows[:, :items]
    mask, inverse = rows[:, items : 2 * items, None], rows[:, 2 * items : 3 * items, None]
    parted = Views(full, mask, inverse, torch.ones(items, dtype=torch.bool))
    means = shard_means(parted)
    further = rows[:, 3 * items :]
    undealt = torch.zeros(further.shape[1], dtype=torch.bool)
    whole = Views(further, further[:, :, None], further[:, :, None], undealt)
    role = Role("full", 0)
    ends = len(past_texts), len(past_texts) + len(firsts)
    whole_rows = centred(whole, means)[role].every_row()
    past, first, second = whole_rows[:, : ends[0]], whole_rows[:, ends[0] : ends[1]], whole_rows[:, ends[1] :]
    known = torch.cat([centred(parted, means)[role].every_row(), past], dim=1)
    share = torch.from_numpy(drawn.share)
    return Sample(tuple(encoders), full, mask, inverse, share, means, known, first, second)


def undrawn(split: Split, taken: Sequence[str], seed: int, sizes: Sizes) -> tuple[list[str], list[str]]:
    """Texts of the split that are not taken: past items and those to find, drawn by the seed.

    Raises BenchError where fewer than half of the past items are left.
    """
    salt = f"quality {seed} ".encode()
    free = sorted(
        set(split_texts(split)) - set(taken), key=lambda text: blake3(salt + text.encode()).digest()
    )
    spare = (len(free) - sizes.past_items) // GALLERY_TEXTS * GALLERY_TEXTS
    queries = max(sizes.queries, min(sizes.queries_max, spare))
    past_count = min(sizes.past_items, len(free) - queries)
    if 2 * past_count < sizes.past_items:
        raise BenchError(
            f"The split `{split.value}` has {len(free)} texts beside the scored ones, "
            f"{sizes.past_items // 2 + sizes.queries} are needed: install numpy, scipy, scikit-learn and "
            "torch with their sources, or ask for fewer items."
        )
    return free[:past_count], free[past_count : past_count + queries]
