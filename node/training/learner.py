"""Learning from a network between its rounds: bounded lessons on the newest pairs, kept only if they help."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

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
"""The newest of them are learnt from: two epochs of a local network."""
BATCH_ITEMS: Final = 64
RATE: Final = 3e-3
PASSES: Final = 4
HELD_OUT_ONE_IN: Final = 8
DISTILL: Final = Mixture((("distillation", 1.0), ("infonce", 0.3)), Constants(temperature=0.1))
"""What the others make of an item, and that its parts find each other: the score is made of the second, and
no labels are needed to learn it."""

_Batch: TypeAlias = tuple[NDArray[np.int64], np.random.Generator]


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


class Lesson:
    """One lesson, a step at a time, on weights of its own."""

    def __init__(
        self, model: EmbeddingModel, data: TrainingSet, mixture: Mixture, batches: Iterator[_Batch]
    ) -> None:
        out = np.array([_is_held_out(item) for item in data.items], bool)
        self.candidate = model
        self._pairs = len(data)
        self._held_out, self._data = data.part(np.flatnonzero(out)), data.part(np.flatnonzero(~out))
        self._mixture = mixture
        self._batches = batches
        self._steps = 0
        self._before = float("nan")
        if len(data) >= PAIRS_MIN and len(self._held_out) and len(self._data):
            self._before = agreement(model.embed(self._held_out.items), self._held_out.targets)
            self.candidate = copy.deepcopy(model)
            self._optimiser = Optimiser(self.candidate, RATE)
        else:
            self._batches = iter(())

    def step(self) -> bool:
        """One batch. False when there is nothing more to do. Raises TrainingError."""
        found = next(self._batches, None)
        if found is None:
            return False
        places, draw = found
        batch = embed_batch(self.candidate, self._data, places, self._mixture, Positives.MASKS, draw)
        self._optimiser.step(self._mixture(batch)[0])
        self._steps += 1
        return True

    def ended(self) -> Learnt:
        """What came of it so far."""
        after = self._before
        if self._steps:
            after = agreement(self.candidate.embed(self._held_out.items), self._held_out.targets)
        return Learnt(self._pairs, self._steps, self._before, after)


class Learner:
    """Holds the weights that answer, and replaces them by better ones. Not thread-safe."""

    def __init__(
        self, model: EmbeddingModel, seed: int = 0, mixture: Mixture = DISTILL, passes: int = PASSES
    ) -> None:
        self.model = model
        self._seed = seed
        self._mixture = mixture
        self._passes = passes
        self._epochs = 0

    def learn(
        self,
        items: Sequence[View],
        consensus: NDArray[np.float32],
        is_over: Callable[[], bool] = lambda: False,
    ) -> Learnt:
        """A whole lesson on the newest pairs, ended early once `is_over` says so. Raises TrainingError."""
        lesson = self.begin(items, consensus)
        while not is_over() and lesson.step():
            pass
        return self.end(lesson)

    def begin(self, items: Sequence[View], consensus: NDArray[np.float32]) -> Lesson:
        """A lesson on the newest PAIRS_MAX pairs, newest first; consensus [n, 1024] around zero.

        An item is held out by its digest: always, or never.
        """
        data = TrainingSet(self.model.modality, tuple(items[:PAIRS_MAX]), targets=consensus[:PAIRS_MAX])
        count = sum(not _is_held_out(item) for item in data.items)
        return Lesson(self.model, data, self._mixture, self._batches(count))

    def end(self, lesson: Lesson) -> Learnt:
        """Take the weights of a lesson if they agree better with the consensus on what was held out."""
        learnt = lesson.ended()
        if learnt.is_better:  # not so for weights that have come to be no numbers
            self.model = lesson.candidate
        return learnt

    def _batches(self, count: int) -> Iterator[_Batch]:
        for _ in range(self._passes):
            self._epochs += 1
            yield from epoch_batches(np.arange(count), BATCH_ITEMS, self._seed, self._epochs)


def _is_held_out(item: View) -> bool:
    data = item.encode() if isinstance(item, str) else item
    return blake3(data).digest(length=1)[0] % HELD_OUT_ONE_IN == 0
