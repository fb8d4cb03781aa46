"""Labelled data: items of one modality, each with its class, and with what must stay together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import View
from node.evaluation.errors import EvaluationError
from protocol.items import item_id

CLASS_ITEMS_MIN: Final = 2
CLASSES_MIN: Final = 2


def bytes_of(view: View) -> bytes:
    """A view's canonical bytes."""
    return view.encode() if isinstance(view, str) else view


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """One item."""

    view: View
    """Canonical."""
    label: str
    """Its class."""
    group: str
    """Items of one group share a source: they are all in the gallery, or all probes."""
    caption: str | None = None
    """A text that belongs to it and to no other item, of text only."""

    @property
    def id(self) -> bytes:
        """The name a network gives it."""
        return item_id(bytes_of(self.view))


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Items of two classes or more."""

    name: str
    """Where they come from, for people."""
    modality: str
    items: tuple[LabelledItem, ...]

    def __post_init__(self) -> None:
        counts = Counter(item.label for item in self.items)
        if len(counts) < CLASSES_MIN or min(counts.values()) < CLASS_ITEMS_MIN:
            few = ", ".join(f"`{label}` has {count}" for label, count in counts.most_common()[-3:])
            raise EvaluationError(
                f"{self.name} has {len(self.items)} items of {len(counts)} classes ({few or 'none'}): give "
                f"{CLASSES_MIN} classes or more, of {CLASS_ITEMS_MIN} items or more each"
            )

    @property
    def views(self) -> tuple[View, ...]:
        """Of the items, in order."""
        return tuple(item.view for item in self.items)

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the items, in order."""
        return tuple(item.label for item in self.items)

    def digest(self) -> bytes:
        """Of everything a figure can depend on."""
        hasher = blake3(self.modality.encode())
        for item in self.items:
            hasher.update(item.id + repr((item.label, item.group, item.caption)).encode())
        return hasher.digest()

    def drawn(self, items_max: int, seed: int) -> LabelledData:
        """At most so many items, as many of each class as can be, drawn by the seed, in their order.

        Raises EvaluationError for fewer than CLASS_ITEMS_MIN of each class.
        """
        classes = len(set(self.labels))
        if items_max < CLASS_ITEMS_MIN * classes:
            raise EvaluationError(
                f"{items_max} items of {classes} classes are too few: ask for {CLASS_ITEMS_MIN * classes} or "
                "more"
            )
        if len(self.items) <= items_max:
            return self
        shuffled = np.random.default_rng(seed).permutation(len(self.items))
        turns: Counter[str] = Counter()
        turn = np.empty(len(self.items), dtype=np.int64)
        for place in shuffled:
            label = self.items[place].label
            turn[place] = turns[label]
            turns[label] += 1
        # The first of every class, then the second of every class, and so on.
        order = sorted(shuffled, key=lambda place: turn[place])
        kept = sorted(order[:items_max])
        return replace(self, items=tuple(self.items[place] for place in kept))


def gallery_flags(labels: Sequence[str], groups: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """Which items are the gallery, [n]: about half of each class, whole groups; the others are probes.

    A class of one group only is split item by item.
    """
    random = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=np.bool_)
    places_by_class: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places_by_class.setdefault(label, []).append(place)
    for places in places_by_class.values():
        parts: dict[str, list[int]] = {}
        for place in places:
            parts.setdefault(groups[place], []).append(place)
        runs = list(parts.values()) if len(parts) > 1 else [[place] for place in places]
        taken = 0
        for turn in random.permutation(len(runs)):
            # At least one group; of two or more it is never all.
            if not taken or taken + len(runs[turn]) <= len(places) / 2:
                chosen[runs[turn]] = True
                taken += len(runs[turn])
    return chosen
