"""Shards for the adversary table: which encoders, who attacks, and what all of them honestly answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from node.bench.encoders import CABAL_NAME, MINILM_NAMES, PLAIN_NAMES, RELATIVE_NAMES, available_names
from node.bench.errors import BenchError
from node.bench.scene import Answers, Scene
from node.bench.texts import Split
from node.bench.views import Embedded, embed_split
from scoring import score_shard

ITEMS: Final = 128
"""Scored items of a shard; one mask each."""
PAST_ITEMS: Final = 256
"""Items of the rounds before, on which the consensus' shaping is fitted."""
ENCODERS_MIN: Final = 8
_EIGHT_WITH_MINILM: Final = (
    "minilm-6-mean",
    "minilm-3-mean",
    "wordllama-256",
    "wordllama-64",
    "lsa-256",
    "ppmi-256",
    "chars-4",
    "words",
)
_EIGHT_PLAIN: Final = (
    "wordllama-256",
    "wordllama-64",
    "lsa-256",
    "lsa-64",
    "ppmi-256",
    "chars-4",
    "words",
    "atoms",
)


@dataclass(frozen=True)
class Setting:
    """A shard and how many of its encoders attack."""

    encoders: tuple[str, ...]
    attackers: int

    @property
    def name(self) -> str:
        """`10 of 30`."""
        return f"{self.attackers} of {len(self.encoders)}"


@dataclass(frozen=True)
class Shard:
    """One seed's shard of a setting: who attacks, the encoders' honest answers, and the rounds before."""

    answers: Answers
    """Honest answers of all N, best first."""
    past: torch.Tensor
    """[N, PAST_ITEMS, D]: honest answers to full views of past rounds."""
    atoms: Answers
    share: NDArray[np.float32]
    attackers: NDArray[np.int64]
    """Rows of the attackers, ascending."""

    @property
    def honest(self) -> NDArray[np.int64]:
        """Rows of the others, ascending."""
        return np.setdiff1d(np.arange(len(self.answers)), self.attackers)

    def scene(self, seed: int) -> Scene:
        """What the attackers have to work with."""
        own, honest = self.answers.encoders(self.attackers), self.answers.encoders(self.honest)
        return Scene(own, honest, self.atoms, self.share, np.random.default_rng(seed))


def default_settings() -> list[Setting]:
    """3, 10 and 14 of 30 encoders and 1 and 3 of 8.

    The 30 are 15 that need no extra and MiniLM read in 15 ways; without the extra, 15 relatives of the first.
    """
    with_minilm = set(MINILM_NAMES) <= set(available_names())
    thirty = PLAIN_NAMES + (MINILM_NAMES if with_minilm else RELATIVE_NAMES)
    return settings_of(thirty, _EIGHT_WITH_MINILM if with_minilm else _EIGHT_PLAIN)


def settings_of(encoders: Sequence[str], eight: Sequence[str] | None = None) -> list[Setting]:
    """10, 33 and 47 % of these encoders, and 1 and 3 of eight (the first, unless named)."""
    if len(encoders) < ENCODERS_MIN or len(set(encoders)) < len(encoders):
        raise BenchError(f"{len(encoders)} encoders: name {ENCODERS_MIN} or more different ones.")
    many, few = tuple(encoders), tuple(eight or encoders[:ENCODERS_MIN])
    shares = [max(1, round(len(many) * percent / 100)) for percent in (10, 33, 47)]
    found = [Setting(many, count) for count in shares] + [Setting(few, count) for count in (1, 3)]
    return list(dict.fromkeys(found))  # eight encoders are both


def embedded_for(
    settings: Sequence[Setting], split: Split, items: int, seed: int, cache_dir: Path
) -> Embedded:
    """All encoders of these settings and the cabal's, for one seed; past items behind the scored ones."""
    names = dict.fromkeys(name for setting in settings for name in setting.encoders)
    return embed_split(split, [*names, CABAL_NAME], items + PAST_ITEMS, 1, seed, cache_dir)


def shard_of(setting: Setting, embedded: Embedded, seed: int, *, best_attacks: bool = False) -> Shard:
    """The shard of one seed, its attackers drawn by the seed, or the best encoders if `best_attacks`.

    Best is by discrimination, measured where nobody attacks.
    """
    items = len(embedded.texts) - PAST_ITEMS
    chosen = embedded.encoders(setting.encoders)
    answers = _answers(chosen, items)
    scores = score_shard(*tensors(answers, chosen.share[:items]))
    order = scores.terms["discrimination"].argsort(descending=True, stable=True).numpy()
    if best_attacks:
        attackers = np.arange(setting.attackers)
    else:
        draw = np.random.default_rng((seed, len(order), setting.attackers))
        attackers = np.sort(draw.choice(len(order), size=setting.attackers, replace=False))
    return Shard(
        answers.encoders(order),
        torch.from_numpy(chosen.full[order, items:]),
        _answers(embedded.encoders([CABAL_NAME]), items),
        chosen.share[:items],
        attackers,
    )


def tensors(
    answers: Answers, share: NDArray[np.float32]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The positional arguments of `score_shard`."""
    full, mask, inverse = (torch.from_numpy(rows) for rows in (answers.full, answers.mask, answers.inverse))
    return full, mask, inverse, torch.from_numpy(share)


def _answers(embedded: Embedded, items: int) -> Answers:
    return Answers(embedded.full[:, :items], embedded.mask[:, :items], embedded.inverse[:, :items])
