"""Marks of classes on a map: eight colours that most eyes tell apart, in four shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Okabe and Ito's colours, the yellow darkened for white ground, black replaced by brown.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b59b00", "#7f4f24", "#6a51a3")
SHAPES: Final = {
    "circle": "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
    "square": "M-3.1 -3.1h6.2v6.2h-6.2z",
    "triangle": "M0 -4l3.9 6.8h-7.8z",
    "diamond": "M0 -4.4l3.6 4.4l-3.6 4.4l-3.6 -4.4z",
}
"""Outlines around the origin, for SVG paths, by name."""
MARKS_MAX: Final = len(_COLOURS) * len(SHAPES)
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a class is drawn."""

    label: str
    colour: str
    shape: str
    """By its name in SHAPES."""


def marks_of(labels: Sequence[str]) -> dict[str, Mark]:
    """A mark for each class, by class in alphabetical order; of too many classes the smallest share one."""
    counts = Counter(labels)
    classes = sorted(counts)
    if len(classes) > MARKS_MAX:
        own = {label for label, _ in counts.most_common(MARKS_MAX - 1)}
        rest = Mark(OTHER, "#9aa1ab", "circle")
    else:
        own, rest = set(classes), None
    marks: dict[str, Mark] = {}
    for place, label in enumerate(sorted(own)):
        shape = tuple(SHAPES)[place // len(_COLOURS)]
        marks[label] = Mark(label, _COLOURS[place % len(_COLOURS)], shape)
    if rest is not None:
        marks |= {label: rest for label in classes if label not in own}
    return marks
