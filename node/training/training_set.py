"""What a model is trained on: items as views, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.training.errors import TrainingError
from node.training.models import View

HELD_OUT_SHARE: Final = 0.1
HELD_OUT_MAX: Final = 512
ITEMS_MIN: Final = 16


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Items of one modality, in a stable order."""

    modality: str
    items: tuple[View, ...]
    labels: NDArray[np.int64] | None = None
    """[items] whose class each is of."""
    recordings: NDArray[np.int64] | None = None
    """[items] which series each window is cut from; windows of one follow each other in time."""
    targets: NDArray[np.float32] | None = field(default=None)
    """[items, 1024] the consensus of a network, centred."""

    def __post_init__(self) -> None:
        for name in ("labels", "recordings", "targets"):
            known = getattr(self, name)
            if known is not None and len(known) != len(self.items):
                raise TrainingError(
                    f"{len(self.items)} items and {len(known)} {name}: give one for each item"
                )

    def __len__(self) -> int:
        return len(self.items)

    def part(self, places: Sequence[int] | NDArray[np.int64]) -> TrainingSet:
        """Some of the items, in this order."""
        chosen = np.asarray(places, np.int64)
        return TrainingSet(
            self.modality,
            tuple(self.items[place] for place in chosen),
            None if self.labels is None else self.labels[chosen],
            None if self.recordings is None else self.recordings[chosen],
            None if self.targets is None else self.targets[chosen],
        )


def held_out(data: TrainingSet, seed: int) -> tuple[TrainingSet, TrainingSet]:
    """(to train on, held out): a tenth, about HELD_OUT_MAX at most, drawn by the seed.

    Of each class two or more, so that they have positives. Of series a tenth of the time in one piece at the
    end of each recording, since a window is much like its neighbours. Raises TrainingError for too few items.
    """
    if len(data) < ITEMS_MIN:
        raise TrainingError(f"{len(data)} items are too few to train on: give {ITEMS_MIN} or more")
    draw = np.random.default_rng((seed, 0x686F))
    groups = [np.arange(len(data))]
    if data.recordings is not None:
        groups = [np.flatnonzero(data.recordings == one) for one in np.unique(data.recordings)]
    elif data.labels is not None:
        groups = [np.flatnonzero(data.labels == one) for one in np.unique(data.labels)]
    share = min(HELD_OUT_SHARE, HELD_OUT_MAX / len(data))
    chosen = np.zeros(len(data), bool)
    for places in groups:
        ordered = places if data.recordings is not None else draw.permutation(places)
        chosen[ordered[len(places) - min(len(places) // 2, max(2, round(len(places) * share))) :]] = True
    return data.part(np.flatnonzero(~chosen)), data.part(np.flatnonzero(chosen))
