"""Marks of classes on a map: eight colours that most eyes tell apart, in four shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Okabe and Ito's colours, the yellow darkened for white ground, black replaced by brown.
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b59b00", "#7f4f24", "#6a51a3")
_SHAPES: Final = (
    "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
    "m-3.1 -3.1h6.2v6.2h-6.2z",
    "m0 -4l3.9 6.8h-7.8z",
    "m0 -4.4l3.6 4.4l-3.6 4.4l-3.6 -4.4z",
)
"""Outlines around a point."""
MARKS_MAX: Final = len(_COLOURS) * len(_SHAPES)
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a class is drawn."""

    label: str
    colour: str
    shape: str

    def path(self, x: float, y: float) -> str:
        """The outline around a place, for an SVG path."""
        return f"M{x:.1f} {y:.1f}{self.shape}"


def marks_of(labels: Sequence[str]) -> dict[str, Mark]:
    """A mark for each class, by class in alphabetical order; of too many classes the smallest share one."""
    counts = Counter(labels)
    classes = sorted(counts)
    if len(classes) > MARKS_MAX:
        own = {label for label, _ in counts.most_common(MARKS_MAX - 1)}
        rest = Mark(OTHER, "#9aa1ab", _SHAPES[0])
    else:
        own, rest = set(classes), None
    marks: dict[str, Mark] = {}
    for place, label in enumerate(sorted(own)):
        shape = _SHAPES[place // len(_COLOURS)]
        marks[label] = Mark(label, _COLOURS[place % len(_COLOURS)], shape)
    if rest is not None:
        marks |= {label: rest for label in classes if label not in own}
    return marks
