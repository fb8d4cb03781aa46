"""Learning from a network between its rounds: a few bounded steps on the newest pairs, kept only if they help."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.training.batches import embed_batch, epoch_batches
from node.training.held_out import agreement
from node.training.mixture import Constants, Mixture
from node.training.models import EmbeddingModel, View
from node.training.optimiser import Optimiser
from node.training.positives import Positives
from node.training.training_set import TrainingSet

PAIRS_MIN: Final = 32
"""Fewer say too little to hold some of them out."""
PAIRS_MAX: Final = 1_024
"""The newest of them are learnt from: 8 epochs of a local network."""
BATCH_ITEMS: Final = 64
RATE: Final = 3e-3
PASSES: Final = 4
HELD_OUT_ONE_IN: Final = 8
DISTILL: Final = Mixture((("distillation", 1.0), ("infonce", 0.3)), Constants(temperature=0.1))
"""What the others make of an item, and that its parts find each other: the score is made of the second, and
its views carry no labels to learn it from."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of one lesson."""

    pairs: int
    steps: int
    before: float
    """Agreement with the consensus on the held-out pairs; NaN where there were too few pairs."""
    after: float

    @property
    def is_better(self) -> bool:
        """Whether the new weights are kept."""
        return self.after > self.before


class Learner:
    """Holds the weights that answer, and replaces them by better ones. Not thread-safe."""

    def __init__(
        self, model: EmbeddingModel, seed: int = 0, mixture: Mixture = DISTILL, passes: int = PASSES
    ) -> None:
        self.model = model
        self._seed = seed
        self._passes = passes
        self._mixture = mixture
        self._epochs = 0

    def learn(
        self,
        items: Sequence[View],
        consensus: NDArray[np.float32],
        is_over: Callable[[], bool] = lambda: False,
    ) -> Learnt:
        """A few passes over the newest PAIRS_MAX pairs, ended early once `is_over` says so.

        consensus [n, 1024], around zero. An item is held out by its digest, always or never. Raises
        TrainingError.
        """
        data = TrainingSet(self.model.modality, tuple(items[:PAIRS_MAX]), targets=consensus[:PAIRS_MAX])
        out = np.array([_is_held_out(item) for item in data.items], bool)
        kept_out, learning = data.part(np.flatnonzero(out)), data.part(np.flatnonzero(~out))
        if len(data) < PAIRS_MIN or not len(kept_out) or not len(learning):
            return Learnt(len(data), 0, float("nan"), float("nan"))
        before = agreement(self.model.embed(kept_out.items), kept_out.targets)
        candidate = copy.deepcopy(self.model)
        optimiser, steps = Optimiser(candidate, RATE), 0
        places = np.arange(len(learning))
        for of_batch, draw in self._batches(learning, places):
            if is_over():
                break
            batch = embed_batch(candidate, learning, of_batch, self._mixture, Positives.MASKS, draw)
            optimiser.step(self._mixture(batch)[0])
            steps += 1
        after = agreement(candidate.embed(kept_out.items), kept_out.targets) if steps else before
        if after > before:  # also False for a model that has come to hold no numbers
            self.model = candidate
        return Learnt(len(data), steps, before, after)

    def _batches(
        self, data: TrainingSet, places: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
        for _ in range(self._passes):
            self._epochs += 1
            yield from epoch_batches(data, places, BATCH_ITEMS, self._seed, self._epochs)


def _is_held_out(item: View) -> bool:
    data = item.encode() if isinstance(item, str) else item
    return blake3(data).digest(length=1)[0] % HELD_OUT_ONE_IN == 0
