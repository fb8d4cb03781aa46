"""Scores of the built-in encoders of each modality, and of cheaters beside them: docs/modalities-scores.md.

`python benchmarks/modality_scores.py --draws 3 image audio`: shards of 64 items that come with scikit-learn
or Python, two masks an item as networks draw them, the hardened rule. Figures are means over draws, and the
worst.

The gluer is one the waves are there to stop: with the inverses in hand it looks for the mask that each fits,
and pulls its answer towards what it has committed to for that mask.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.encoders import DIMENSIONS, REFERENCES, Encoder, encoder_names, load_encoder
from node.encoders.cheaters import load_strategy
from node.encoders.encoder import View, unit_rows
from node.encoders.forging import matched_masks
from node.encoders.strategy import AnswerStrategy, WaveAnswer
from node.modalities import sample_items
from protocol.batch import PPM, Batch, Role, plan_batch
from protocol.modalities import MODALITIES
from scoring import ShardScores, score_shard

ITEMS = 64
MASKS = 2
CHEATS = ("zero", "constant", "random", "replay", "copycat")
GLUES = (0.2, 0.4)
"""How far gluers pull an inverse towards its mask."""
TERMS = (
    ("G", "discrimination"),
    ("R", "differential"),
    ("LOF", "local_outlier_factor"),
    ("MS", "majority_similarity"),
    ("IN", "innovation"),
    ("L", "leak"),
)
Answers = dict[tuple[Role, int, int], NDArray[np.float32]]


@dataclass(frozen=True)
class Draw:
    """One batch, and what the honest encoders answer."""

    batch: Batch
    honest: tuple[Answers, ...]


@dataclass(frozen=True)
class Gluer:
    """An encoder that takes the mask most like an inverse, by its own answers, for the inverse's own."""

    encoder: Encoder
    pull: float
    name: str = "gluer"
    delay_after_deadline_ms: int | None = None
    wants_published: bool = False

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 at unit norm."""
        rows = self.encoder.encode(views)
        if wave != 2:
            return rows
        masks = history[1].answers
        alike = (rows - rows.mean(axis=0)) @ (masks - masks.mean(axis=0)).T
        own = matched_masks(alike.astype(np.float64))
        return unit_rows((1 - self.pull) * rows + self.pull * masks[own])

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""


def played(batch: Batch, strategy: AnswerStrategy) -> Answers:
    """The answers of a strategy to the three waves."""
    history: dict[int, WaveAnswer] = {}
    answers: Answers = {}
    for wave, views in enumerate(batch.waves, start=1):
        asked = tuple(view.data for view in views)
        rows = strategy.answer(wave, asked, dict(history))
        history[wave] = WaveAnswer(asked, rows)
        answers |= {(view.role, view.item, view.mask): row for view, row in zip(views, rows, strict=True)}
    return answers


def scored(batch: Batch, answers: Sequence[Answers]) -> ShardScores:
    """The shard of those who answered, by the hardened rule."""

    def tensor(role: Role, masks: int) -> torch.Tensor:
        rows = [[one[role, item, k] for item in range(ITEMS) for k in range(masks)] for one in answers]
        return torch.from_numpy(np.array(rows)).view(len(answers), ITEMS, masks, DIMENSIONS)

    share = torch.tensor(batch.mask_share_ppm, dtype=torch.float32) / PPM
    full = tensor(Role.FULL, 1)[:, :, 0]
    return score_shard(full, tensor(Role.MASK, MASKS), tensor(Role.INVERSE, MASKS), share)


def draws_of(modality: str, encoders: Sequence[Encoder], count: int) -> list[Draw]:
    """So many batches of different items; one more goes before them, which copycats have heard."""
    items = sample_items(modality, count=ITEMS * count)
    found = []
    for draw in range(count):
        own = items[ITEMS * draw : ITEMS * (draw + 1)]
        batch = plan_batch(bytes([draw]) * 32, own, (), MASKS, MODALITIES[modality])
        honest = tuple(played(batch, load_strategy("honest", encoder, 0)) for encoder in encoders)
        found.append(Draw(batch, honest))
    return found


def views_per_s(encoder: Encoder, batch: Batch, repeat: int = 5) -> float:
    """Median over runs of 64 full views."""
    views = [view.data for view in batch.waves[2] if view.role is Role.FULL]
    times = []
    for _ in range(repeat):
        began = perf_counter()
        encoder.encode(views)
        times.append(perf_counter() - began)
    return len(views) / median(times)


def report(modality: str, draws: int) -> None:
    """Print two tables: the honest alone, and each cheater beside them."""
    names = encoder_names(modality)
    encoders = [load_encoder(name) for name in names]
    heard, *others = draws_of(modality, encoders, draws + 1)
    alone = [scored(draw.batch, draw.honest) for draw in others]
    print(f"\n{modality}, aligned to {REFERENCES[modality]}\n")
    print("| encoder | S | S, worst | " + " | ".join(short for short, _ in TERMS) + " | weight | views/s |")
    print("|---" * (len(TERMS) + 5) + "|")
    for at, (name, encoder) in enumerate(zip(names, encoders, strict=True)):
        scores = [float(one.score[at]) for one in alone]
        terms = [mean(float(one.terms[long][at]) for one in alone) for _, long in TERMS]
        weight = mean(float(one.weight[at]) for one in alone)
        row = [f"{value:.3f}" for value in (mean(scores), min(scores), *terms, weight)]
        print(f"| {name} | " + " | ".join(row) + f" | {views_per_s(encoder, heard.batch):,.0f} |")
    print("\n| cheater | S | S, greatest | weight, greatest | honest S beside it, least |")
    print("|---" * 5 + "|")
    gluers = [f"gluer, {pull}" for pull in GLUES]
    for cheat in (*CHEATS, *gluers):
        cheated = []
        for number, draw in enumerate(others):
            strategy: AnswerStrategy
            if cheat in gluers:
                strategy = Gluer(encoders[0], GLUES[gluers.index(cheat)])
            else:
                strategy = load_strategy(cheat, encoders[0], number, modality)
            if strategy.wants_published:
                strategy.offer(np.array(list(heard.honest[0].values())))
            cheated.append(scored(draw.batch, (*draw.honest, played(draw.batch, strategy))))
        own = [float(one.score[-1]) for one in cheated]
        weight = max(float(one.weight[-1]) for one in cheated)
        least = min(float(one.score[:-1].min()) for one in cheated)
        print(f"| {cheat} | {mean(own):.3f} | {max(own):.3f} | {weight:.3f} | {least:.3f} |")


def main() -> None:
    """Read the arguments, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modalities", nargs="*", default=["image", "audio", "series", "bytes"])
    parser.add_argument("--draws", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for modality in chosen.modalities:
        report(modality, chosen.draws)


if __name__ == "__main__":
    main()
