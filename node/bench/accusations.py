"""Whether honest encoders are accused: by what their models are, or by others who make them stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

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
_FRAMING_SHARE: Final = 0.47


@dataclass(frozen=True)
class Accusations:
    """Of the honest encoders of many shards of one kind."""

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
    """Honest shards of `names`, of bags of words with two contextual encoders, and the other way round.

    In the last kind 47 % answer every probe with the fragment's very answer, so that all others stand out.
    """
    kinds = _kinds(names)
    found: dict[str, list[tuple[np.ndarray, ...]]] = {kind.name: [] for kind in kinds}
    for seed in range(seeds):
        embedded = embed_split(split, names, items + PAST_ITEMS, 1, seed, cache_dir)
        probed = embed_probes(split, names, items, items + PAST_ITEMS, seed, cache_dir)
        answers = Answers(*(x[:, :items] for x in (embedded.full, embedded.mask, embedded.inverse)))
        draw = np.random.default_rng(seed)
        for kind in kinds:
            for shard in range(shards):
                drawn = draw.choice(kind.many, kind.size - _MINORITY * bool(kind.few), replace=False).tolist()
                drawn += draw.choice(kind.few, _MINORITY, replace=False).tolist() if kind.few else []
                rows = np.array([list(names).index(name) for name in drawn])
                chosen, asked = answers.encoders(rows), probed.encoders(rows)
                told = asked.answers.copy()
                told[: kind.framers] = asked.committed(chosen)[: kind.framers]
                trial = tried(chosen, replace(asked, answers=told), shard)
                figures = (trial.exposed_after, trial.bent_share, trial.leaning_share, trial.highest)
                honest = (one[kind.framers :] for one in (rows, *figures))
                found[kind.name].append(tuple(honest))
    return [_summary(kind, trials, len(names)) for kind, trials in found.items()]


class _Kind(NamedTuple):
    name: str
    many: list[str]
    few: list[str]
    size: int
    framers: int


def _kinds(names: Sequence[str]) -> list[_Kind]:
    bags = [name for name in names if name in PLAIN_NAMES]
    contextual = [name for name in names if name in MINILM_NAMES]
    every, size = list(names), min(_SIXTEEN, len(names))
    kinds = [_Kind(f"any {size}", every, [], size, 0), _Kind(f"any {_EIGHT}", every, [], _EIGHT, 0)]
    if min(len(bags), len(contextual)) >= _SIXTEEN - _MINORITY:
        kinds.append(_Kind("14 contextual, 2 bags of words", contextual, bags, _SIXTEEN, 0))
        kinds.append(_Kind("14 bags of words, 2 contextual", bags, contextual, _SIXTEEN, 0))
    framers = int(_FRAMING_SHARE * len(every))
    return [*kinds, _Kind(f"any {len(every)}, {framers} of them framing", every, [], len(every), framers)]


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
