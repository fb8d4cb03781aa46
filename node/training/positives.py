"""Positives: which two views belong together, and which items are nobody's negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.training.errors import TrainingError
from node.training.masking import gap_of, split_of
from node.training.models import View
from node.training.shifting import shifted
from node.training.training_set import TrainingSet

NEIGHBOUR_WINDOWS: Final = 1
"""How far apart in time, in windows, a positive lies."""
APART_WINDOWS: Final = 4
"""Windows of one recording nearer than this are no negatives of each other."""


class Positives(Enum):
    """Where positives come from."""

    LABELS = "labels"
    """Another item of the same class; items of other classes are negatives."""
    MASKS = "masks"
    """A mask of the item and its inverse: what the network scores."""
    WINDOWS = "windows"
    """The window beside it in time: things do not change too quickly."""
    GAPS = "gaps"
    """A text without a span of words, and the span that fills the gap."""
    MOVES = "moves"
    """An image and itself, each moved a little: every image is a class of its own."""


@dataclass(frozen=True, slots=True)
class PositivePairs:
    """Anchor i and positive i belong together."""

    anchors: list[View]
    positives: list[View]
    negatives: NDArray[np.bool_]
    """[n, n]: whether j is a negative of i."""


def draw_pairs(
    data: TrainingSet, places: NDArray[np.int64], source: Positives, draw: np.random.Generator
) -> PositivePairs:
    """Pairs of the items at `places`. Raises TrainingError where the data do not have them."""
    return _SOURCES[source](data, places, draw)


def usable(data: TrainingSet, source: Positives) -> NDArray[np.int64]:
    """Places of the items that have a positive. Raises TrainingError when there are too few."""
    places = np.arange(len(data))
    if source is Positives.LABELS:
        labels = _known(data.labels, "labels", "put files into one folder for each class")
        classes, counts = np.unique(labels, return_counts=True)
        places = np.flatnonzero(np.isin(labels, classes[counts > 1]))
        if len(classes) < 2:
            raise TrainingError("all items have one label: positives from labels need two classes or more")
    if source is Positives.WINDOWS:
        recordings = _known(data.recordings, "recordings", "use a modality of windows: series")
        counts = np.bincount(recordings)
        places = np.flatnonzero(counts[recordings] > 1)
    if source is Positives.GAPS and data.modality != "text":
        raise TrainingError("gaps are of text: take positives from masks instead")
    if source is Positives.MOVES and data.modality != "image":
        raise TrainingError("only images are moved: take positives from masks instead")
    if len(places) < 2:
        raise TrainingError(f"no two items have a positive by {source.value}: choose another source")
    return places


def _by_labels(data: TrainingSet, places: NDArray[np.int64], draw: np.random.Generator) -> PositivePairs:
    labels = _known(data.labels, "labels", "put files into one folder for each class")
    chosen = []
    for place in places:
        others = np.flatnonzero(labels == labels[place])
        others = others[others != place]
        chosen.append(int(draw.choice(others)) if len(others) else int(place))
    of_batch = labels[places]
    anchors, positives = ([_moved(data, place, draw) for place in part] for part in (places, chosen))
    return PositivePairs(anchors, positives, of_batch[:, None] != of_batch[None])


def _moved(data: TrainingSet, place: int, draw: np.random.Generator) -> View:
    item = data.items[place]
    return shifted(item, draw) if data.modality == "image" and isinstance(item, bytes) else item


def _by_masks(data: TrainingSet, places: NDArray[np.int64], draw: np.random.Generator) -> PositivePairs:
    split = [split_of(data.modality, data.items[place], draw) for place in places]
    return PositivePairs(
        [one.mask for one in split], [one.inverse for one in split], _all_others(len(places))
    )


def _by_windows(data: TrainingSet, places: NDArray[np.int64], draw: np.random.Generator) -> PositivePairs:
    recordings = _known(data.recordings, "recordings", "use a modality of windows: series")
    chosen = []
    for place in places:
        near = [place - NEIGHBOUR_WINDOWS, place + NEIGHBOUR_WINDOWS]
        found = [one for one in near if 0 <= one < len(data) and recordings[one] == recordings[place]]
        chosen.append(int(draw.choice(found)) if found else int(place))
    close = np.abs(places[:, None] - places[None]) < APART_WINDOWS
    same = recordings[places][:, None] == recordings[places][None]
    return PositivePairs(
        [data.items[place] for place in places], [data.items[place] for place in chosen], ~(close & same)
    )


def _by_gaps(data: TrainingSet, places: NDArray[np.int64], draw: np.random.Generator) -> PositivePairs:
    gaps = [gap_of(str(data.items[place]), draw) for place in places]
    return PositivePairs([rest for rest, _ in gaps], [span for _, span in gaps], _all_others(len(places)))


def _by_moves(data: TrainingSet, places: NDArray[np.int64], draw: np.random.Generator) -> PositivePairs:
    anchors, positives = ([_moved(data, place, draw) for place in places] for _ in range(2))
    return PositivePairs(anchors, positives, _all_others(len(places)))


_SOURCES: Final[
    dict[Positives, Callable[[TrainingSet, NDArray[np.int64], np.random.Generator], PositivePairs]]
] = {
    Positives.LABELS: _by_labels,
    Positives.MASKS: _by_masks,
    Positives.WINDOWS: _by_windows,
    Positives.GAPS: _by_gaps,
    Positives.MOVES: _by_moves,
}


def _all_others(count: int) -> NDArray[np.bool_]:
    return ~np.eye(count, dtype=bool)


def _known(values: NDArray[np.int64] | None, what: str, how: str) -> NDArray[np.int64]:
    if values is None:
        raise TrainingError(f"the data have no {what}: {how}, or choose other --positives")
    return values
