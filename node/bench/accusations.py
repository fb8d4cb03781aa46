"""Whether honest encoders are accused: shards where the models of some compose quite unlike the others'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from node.bench.encoders import MINILM_NAMES, PLAIN_NAMES
from node.bench.probed import BATCH_ITEMS, NEVER, embed_probes, tried
from node.bench.scene import Answers
from node.bench.shards import PAST_ITEMS
from node.bench.texts import Split
from node.bench.views import embed_split

SHARDS_A_SEED: Final = 20
_MINORITY: Final = 2
_EIGHT: Final = 8
_SIXTEEN: Final = 16


@dataclass(frozen=True)
class Accusations:
    """Of the encoders of many honest shards of one kind."""

    shards: str
    encoders: int
    """In all shards together."""
    exposed: int
    bent_share_max: float
    """The largest mean share, by encoder, over all shards it is in."""
    leaning_share_max: float
    highest: float
    """The largest sum any encoder ever had, 1 being exposure."""


def accusations(
    names: Sequence[str],
    split: Split,
    seeds: int,
    cache_dir: Path,
    *,
    items: int = BATCH_ITEMS,
    shards: int = SHARDS_A_SEED,
) -> list[Accusations]:
    """Honest shards of `names`, of bags of words with two contextual encoders, and the other way round."""
    kinds = _kinds(names)
    found: dict[str, list[tuple[np.ndarray, ...]]] = {kind: [] for kind in kinds}
    for seed in range(seeds):
        embedded = embed_split(split, names, items + PAST_ITEMS, 1, seed, cache_dir)
        probed = embed_probes(split, names, items, items + PAST_ITEMS, seed, cache_dir)
        answers = Answers(*(x[:, :items] for x in (embedded.full, embedded.mask, embedded.inverse)))
        draw = np.random.default_rng(seed)
        for kind, (many, few, count) in kinds.items():
            for shard in range(shards):
                drawn = draw.choice(many, count - _MINORITY * bool(few), replace=False).tolist()
                drawn += draw.choice(few, _MINORITY, replace=False).tolist() if few else []
                rows = np.array([list(names).index(name) for name in drawn])
                trial = tried(answers.encoders(rows), probed.encoders(rows), shard)
                found[kind].append(
                    (rows, trial.exposed_after, trial.bent_share, trial.leaning_share, trial.highest)
                )
    return [_summary(kind, trials, len(names)) for kind, trials in found.items()]


def _kinds(names: Sequence[str]) -> dict[str, tuple[list[str], list[str], int]]:
    """Majority, minority, encoders."""
    bags = [name for name in names if name in PLAIN_NAMES]
    contextual = [name for name in names if name in MINILM_NAMES]
    every = list(names)
    kinds: dict[str, tuple[list[str], list[str], int]] = {
        "any 16": (every, [], min(_SIXTEEN, len(every))),
        "any 8": (every, [], min(_EIGHT, len(every))),
    }
    if len(bags) >= _EIGHT and len(contextual) >= _EIGHT:
        kinds["14 contextual, 2 bags of words"] = (contextual, bags, min(_SIXTEEN, 2 + len(contextual)))
        kinds["14 bags of words, 2 contextual"] = (bags, contextual, min(_SIXTEEN, 2 + len(bags)))
    return kinds


def _summary(kind: str, trials: Sequence[tuple[np.ndarray, ...]], encoders: int) -> Accusations:
    rows, after, bent, leaning, highest = (np.concatenate(column) for column in zip(*trials, strict=True))
    seen = np.bincount(rows, minlength=encoders).clip(1)
    bent_mean = np.bincount(rows, bent, minlength=encoders) / seen
    leaning_mean = np.bincount(rows, leaning, minlength=encoders) / seen
    return Accusations(
        kind,
        len(rows),
        int((after != NEVER).sum()),
        float(bent_mean.max()),
        float(leaning_mean.max()),
        float(highest.max()),
    )
