"""Probes of a batch as real encoders answer them, and what the sequential test says round by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray

from node.bench.scene import Answers, Rows, unit
from node.bench.texts import Split
from node.bench.views import answers_to, draw_items
from protocol.bending import EXPOSED_MILLINATS, Bending, advanced, is_exposed
from protocol.modalities import TEXT, Units
from protocol.probes import probe_count, probe_view
from scoring.probes import probe_terms

BATCH_ITEMS: Final = 256
MASKS_A_ITEM: Final = 2
"""Scored items and masks of a round of the testnet preset: what its number of probes is counted from."""
PROBES_A_ROUND: Final = probe_count(BATCH_ITEMS, MASKS_A_ITEM)
NEVER: Final = 1 << 30
"""The round of an exposure that did not come."""


@dataclass(frozen=True)
class Probed:
    """One probe of every item, as N encoders honestly answer it."""

    answers: Rows
    """[N, I, D]."""
    of_inverse: NDArray[np.bool_]
    """[I]: the fragment is the inverse."""

    def encoders(self, rows: Sequence[int] | NDArray[np.int64]) -> Probed:
        """Some of the encoders, in that order."""
        return Probed(self.answers[np.asarray(rows)], self.of_inverse)

    def committed(self, answers: Answers) -> Rows:
        """What was answered to the fragments that come back. -> [N, I, D]."""
        where = self.of_inverse[None, :, None]
        return np.where(where, answers.inverse[:, :, 0], answers.mask[:, :, 0])


def embed_probes(
    split: Split, encoders: Sequence[str], items: int, drawn_items: int, seed: int, cache_dir: Path
) -> Probed:
    """Probes of the first `items` of the `drawn_items` texts that `embed_split` draws with this seed."""
    drawn = draw_items(split, drawn_items, 1, seed)
    secret = blake3(f"deltamesh bench probes {seed}".encode()).digest()
    chosen = [
        probe_view(secret, Units.of(TEXT, text.encode()), masks[0])
        for text, masks in zip(drawn.texts[:items], drawn.masks[:items], strict=True)
    ]
    answers = answers_to([view.decode() for _, view in chosen], encoders, cache_dir)
    return Probed(answers, np.array([of_inverse for of_inverse, _ in chosen]))


def linked(probed: Probed, honest: Answers, given: Answers) -> Probed:
    """Probes as they are answered by who knows each for a probe of its fragment: bent as the fragment was."""
    answers = unit(probed.answers + probed.committed(given) - probed.committed(honest))
    return Probed(answers, probed.of_inverse)


@dataclass(frozen=True)
class Trial:
    """N encoders before the test."""

    exposed_after: NDArray[np.int64]
    """[N] rounds; NEVER."""
    highest: NDArray[np.float64]
    """[N]: the larger of both sums at its highest, 1 being exposure."""
    bent_share: NDArray[np.float64]
    """[N]: of all their probes."""
    leaning_share: NDArray[np.float64]
    """[N]: of all their probes."""


def tried(answers: Answers, probed: Probed, seed: int) -> Trial:
    """Rounds of PROBES_A_ROUND probes, until every item was probed once, in an order drawn by the seed."""
    encoders, items = probed.answers.shape[:2]
    order = np.random.default_rng(seed).permutation(items)
    committed = probed.committed(answers)
    sums = [Bending()] * encoders
    highest, after = np.zeros(encoders), np.full(encoders, NEVER)
    shares = np.zeros((2, encoders))
    for round_ in range(rounds_of(items)):
        chosen = order[round_ * PROBES_A_ROUND :][:PROBES_A_ROUND]
        rows = [torch.from_numpy(x[:, chosen]) for x in (committed, probed.answers, answers.full)]
        counted = torch.ones(encoders, len(chosen), dtype=torch.bool)
        terms = probe_terms(rows[0], rows[1], rows[2], counted)
        signs = np.stack([terms.bent.numpy(), terms.leaning.numpy()])
        shares += signs / (rounds_of(items) * PROBES_A_ROUND)
        sums = [advanced(one, len(chosen), *map(float, of)) for one, of in zip(sums, signs.T, strict=True)]
        larger = np.array([max(one.bent, one.leaning) for one in sums]) / EXPOSED_MILLINATS
        highest = np.maximum(highest, larger)
        exposed = np.array([is_exposed(one) for one in sums])
        after[exposed & (after == NEVER)] = round_ + 1
    return Trial(after, highest, *shares)


def rounds_of(items: int) -> int:
    """How many rounds the probes of so many items last."""
    return items // PROBES_A_ROUND
