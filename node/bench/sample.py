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
from node.bench.retrieval import halves
from node.bench.texts import Split, split_texts
from node.bench.views import answers_to, embed_split
from scoring.centring import centred, shard_means
from scoring.views import Role, Views


@dataclass(frozen=True)
class Sizes:
    """How much of a split one draw takes."""

    shards: int = 4
    shard_items: int = 128
    """Scored items of a shard, with one mask each."""
    past_items: int = 1024
    """Further items whose full views make the past that shaping is fitted on."""
    queries: int = 512
    """Texts of the retrieval task; none of them is an item of the others."""


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


def draw_sample(split: Split, encoders: Sequence[str], seed: int, cache_dir: Path, sizes: Sizes) -> Sample:
    """Embed one draw of a split, or read it from the cache. Raises BenchError where the split is small."""
    items = sizes.shards * sizes.shard_items
    scored = embed_split(split, encoders, items, 1, seed, cache_dir)
    past_texts, asked_texts = _others(split, scored.texts, seed, sizes)
    firsts, seconds = halves(asked_texts)
    further = [*past_texts, *firsts, *seconds]
    rows = torch.from_numpy(answers_to(further, encoders, cache_dir))  # [N, P' + 2Q, D]
    full, mask, inverse, share = (
        torch.from_numpy(part) for part in (scored.full, scored.mask, scored.inverse, scored.share)
    )
    parted = Views(full, mask, inverse, torch.ones(items, dtype=torch.bool))
    means = shard_means(parted)
    whole = Views(rows, rows[:, :, None], rows[:, :, None], torch.zeros(rows.shape[1], dtype=torch.bool))
    role = Role("full", 0)
    whole_rows = centred(whole, means)[role].every_row()
    past, first, second = (
        whole_rows[:, start : start + count]
        for start, count in (
            (0, len(past_texts)),
            (len(past_texts), len(firsts)),
            (len(past_texts) + len(firsts), len(seconds)),
        )
    )
    known = torch.cat([centred(parted, means)[role].every_row(), past], dim=1)
    return Sample(tuple(encoders), full, mask, inverse, share, means, known, first, second)


def _others(split: Split, taken: Sequence[str], seed: int, sizes: Sizes) -> tuple[list[str], list[str]]:
    """Texts of the split that are not taken: past items and those to find, drawn by the seed."""
    salt = f"quality {seed} ".encode()
    free = sorted(
        set(split_texts(split)) - set(taken), key=lambda text: blake3(salt + text.encode()).digest()
    )
    if len(free) < sizes.past_items + sizes.queries:
        raise BenchError(
            f"The split `{split.value}` has {len(free)} texts beside the scored ones, "
            f"{sizes.past_items + sizes.queries} are needed: install numpy, scipy, scikit-learn and torch "
            "with their sources, or ask for fewer items."
        )
    ends = sizes.past_items, sizes.past_items + sizes.queries
    return free[: ends[0]], free[ends[0] : ends[1]]
