"""An evaluation as a picture: one map a model, side by side, coloured by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Final

from node.evaluation.map import Map
from node.evaluation.marks import SHAPES, Mark, marks_of
from node.evaluation.row_store import Row
from node.picture_style import DARK_STYLE

_COLUMNS_MAX: Final = 3
_PLOT: Final = 300
"""Side of a map."""
_LEFT: Final = 58
_HEAD: Final = 52
_FOOT: Final = 46
_PANEL_WIDTH: Final = _LEFT + _PLOT + 22
_PANEL_HEIGHT: Final = _HEAD + _PLOT + _FOOT
_MARGIN: Final = 16
_TITLE: Final = 46
_LEGEND_LINE: Final = 20
_CHARACTER: Final = 7.2
"""Width of a letter of the legend, for its columns."""
_LABEL_CHARACTERS_MAX: Final = 28
_SPARE: Final = 1.06
_STYLE: Final = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .plot { fill: #ffffff; stroke: #d4d6da } .grid { stroke: #eceded }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .small { font-size: 12px; fill: #596273 } .strong { font-weight: bold } .mark { fill-opacity: .5 }
  .mean { stroke: #1d2430; stroke-width: .6 }
"""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What of a plane a plot shows: as far up as across, so that distances can be compared."""

    middle_x: float
    middle_y: float
    reach: float
    """From the middle to each side."""

    def right_of(self, value: float) -> float:
        """Pixels from the left side."""
        return _PLOT * ((value - self.middle_x) / self.reach + 1) / 2

    def below(self, value: float) -> float:
        """Pixels from the top."""
        return _PLOT * (1 - (value - self.middle_y) / self.reach) / 2

    def ticks(self, middle: float) -> list[float]:
        """Four to ten round numbers along a side."""
        power = 10.0 ** math.floor(math.log10(self.reach))
        step = next(power * part for part in (5.0, 2.0, 1.0, 0.5) if self.reach / (power * part) >= 2)
        first, last = math.ceil((middle - self.reach) / step), math.floor((middle + self.reach) / step)
        return [round(count * step, 12) for count in range(first, last + 1)]


def draw_maps(rows: Sequence[Row], labels: Sequence[str], title: str) -> str:
    """An SVG with a panel for each row; the labels are those of the items on every map, in order."""
    marks = marks_of(labels)
    # Four stand better two by two.
    columns = 2 if len(rows) == 4 else min(_COLUMNS_MAX, len(rows))
    width = max(2 * _MARGIN + columns * _PANEL_WIDTH, 640)
    legend, legend_height = _legend(marks, width)
    top = _TITLE + legend_height
    height = top + _PANEL_HEIGHT * math.ceil(len(rows) / columns) + _MARGIN
    shapes = "".join(f'<path id="{name}" d="{outline}"/>' for name, outline in SHAPES.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}{DARK_STYLE}</style><defs>{shapes}</defs>",
        f'<rect class="panel" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="8"/>',
        f'<text class="strong" x="24" y="32">{escape(title)}</text>',
        *legend,
    ]
    for place, row in enumerate(rows):
        x = _MARGIN + _PANEL_WIDTH * (place % columns)
        y = top + _PANEL_HEIGHT * (place // columns)
        parts += _panel(row, [marks[label] for label in labels], x, y)
    return "\n".join([*parts, "</svg>", ""])


def _legend(marks: Mapping[str, Mark], width: int) -> tuple[list[str], int]:
    """The marks in columns, and how high they are."""
    shown = list({mark.label: mark for mark in marks.values()}.values())
    names = [_short(mark.label) for mark in shown]
    column_width = 26 + round(_CHARACTER * max(map(len, names)))
    columns = max(1, (width - 48) // column_width)
    parts = []
    for place, (mark, name) in enumerate(zip(shown, names, strict=True)):
        x, y = 30 + column_width * (place % columns), _TITLE + 12 + _LEGEND_LINE * (place // columns)
        parts.append(f'<use href="#{mark.shape}" fill="{mark.colour}" x="{x}" y="{y - 4}"/>')
        parts.append(f'<text class="small" x="{x + 11}" y="{y}">{escape(name)}</text>')
    return parts, _LEGEND_LINE * math.ceil(len(shown) / columns) + 12


def _panel(row: Row, marks: Sequence[Mark], x: int, y: int) -> list[str]:
    left, top = x + _LEFT, y + _HEAD
    frame = _frame(row.map)
    name, whole = escape(_short(row.model.rpartition("/")[2])), escape(row.model)
    parts = [
        f'<text class="strong" x="{left}" y="{y + 22}">{name}<title>{whole}</title></text>',
        f'<text class="small" x="{left}" y="{y + 40}">{escape(_subtitle(row))}</text>',
        f'<rect class="plot" x="{left}" y="{top}" width="{_PLOT}" height="{_PLOT}"/>',
        *_axes(row.map, frame, left, top),
    ]
    places: dict[Mark, list[tuple[float, float]]] = {}
    for mark, (across, up) in zip(marks, row.map.places, strict=True):
        places.setdefault(mark, []).append((left + frame.right_of(across), top + frame.below(up)))
    for mark, found in places.items():
        uses = "".join(f'<use href="#{mark.shape}" x="{x:.1f}" y="{y:.1f}"/>' for x, y in found)
        title = f"<title>{escape(mark.label)}</title>"
        parts.append(f'<g class="mark" fill="{mark.colour}">{title}{uses}</g>')
    # The mean of each class, larger and framed: what many marks on one heap hide.
    for mark, found in places.items():
        across, down = (fmean(values) for values in zip(*found, strict=True))
        parts.append(
            f'<use class="mean" href="#{mark.shape}" fill="{mark.colour}" '
            f'transform="translate({across:.1f} {down:.1f}) scale(2)">'
            f"<title>mean of {escape(mark.label)}</title></use>"
        )
    return parts


def _subtitle(row: Row) -> str:
    words = [row.space, f"{row.dimensions} dimensions"]
    if "nearest" in row.figures:
        words.append(f"1-NN {row.figures['nearest'].value:.2f}")
    return ", ".join(words)


def _axes(drawn: Map, frame: _Frame, left: int, top: int) -> list[str]:
    """Grid, numbers along both sides, and what the axes are."""
    parts = []
    for value in frame.ticks(frame.middle_x):
        x = left + frame.right_of(value)
        parts.append(
            f'<path class="grid" d="M{x:.1f} {top}v{_PLOT}"/><text class="small" x="{x:.1f}" '
            f'y="{top + _PLOT + 16}" text-anchor="middle">{value:.3g}</text>'
        )
    for value in frame.ticks(frame.middle_y):
        y = top + frame.below(value)
        parts.append(
            f'<path class="grid" d="M{left} {y:.1f}h{_PLOT}"/><text class="small" x="{left - 6}" '
            f'y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        )
    first, second = (f"PC {axis}, {share:.0%} of the variance" for axis, share in enumerate(drawn.shares, 1))
    middle_x, middle_y = left + _PLOT // 2, top + _PLOT // 2
    turned = f"translate({left - 42} {middle_y}) rotate(-90)"
    parts.append(
        f'<text class="small" x="{middle_x}" y="{top + _PLOT + 34}" text-anchor="middle">{first}</text>'
        f'<text class="small" transform="{turned}" text-anchor="middle">{second}</text>'
    )
    return parts


def _frame(drawn: Map) -> _Frame:
    (low_x, high_x), (low_y, high_y) = ((min(one), max(one)) for one in zip(*drawn.places, strict=True))
    # All on one point: any frame around it will do.
    reach = _SPARE * max(high_x - low_x, high_y - low_y) / 2 or 1.0
    return _Frame((low_x + high_x) / 2, (low_y + high_y) / 2, reach)


def _short(name: str) -> str:
    return name if len(name) <= _LABEL_CHARACTERS_MAX else name[: _LABEL_CHARACTERS_MAX - 3] + "..."
