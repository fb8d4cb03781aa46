"""The forgers' weight round by round as a picture: one panel a forgery, one line for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.picture_style import DARK_STYLE

_PANEL: Final = (280, 150)
_COLUMNS: Final = 3
_MARGIN: Final = (56, 96)
_GAP: Final = (44, 62)
_KEY_WIDTH: Final = 220
_COLOURS: Final = ("#c2412d", "#d9a441", "#1b5fb0", "#3d8a4e")
_STYLE: Final = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .grid { stroke: #e3e5e8 } .line { fill: none; stroke-width: 2.5 }
  text { font: 12px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1d2430 }
  .head { font-weight: bold; font-size: 14px } .small { font-size: 11px; fill: #596273 }
"""

Lines = Mapping[str, NDArray[np.float64]]
"""Weights [R] by what they were taken under; a round without one is NaN, and the line leaves it out."""


def draw_waves(panels: Mapping[str, Lines], title: str) -> str:
    """Weight over rounds as an SVG; at most four kinds of lines, in the same order in every panel."""
    kinds = list(dict.fromkeys(kind for lines in panels.values() for kind in lines))
    rows = -(-len(panels) // _COLUMNS)
    width = max(_MARGIN[0] + _COLUMNS * (_PANEL[0] + _GAP[0]), 20 + _KEY_WIDTH * len(kinds))
    height = _MARGIN[1] + rows * (_PANEL[1] + _GAP[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}{DARK_STYLE}</style>",
        f'<rect class="panel" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="6"/>',
        f'<text class="head" x="20" y="28">{escape(title)}</text>',
    ]
    for place, (words, colour) in enumerate(zip(kinds, _COLOURS, strict=False)):
        x = 20 + _KEY_WIDTH * place
        parts.append(f'<path class="line" stroke="{colour}" d="M{x} 50h24"/>')
        parts.append(f'<text x="{x + 30}" y="54">{escape(words)}</text>')
    for place, (name, lines) in enumerate(panels.items()):
        row, column = divmod(place, _COLUMNS)
        left = _MARGIN[0] + column * (_PANEL[0] + _GAP[0])
        top = _MARGIN[1] + row * (_PANEL[1] + _GAP[1])
        parts += _panel(left, top, name, lines, kinds)
    return "\n".join([*parts, "</svg>", ""])


def _panel(left: int, top: int, name: str, lines: Lines, kinds: Sequence[str]) -> list[str]:
    width, height = _PANEL
    rounds = max(len(values) for values in lines.values())
    parts = [f'<text class="head" x="{left}" y="{top - 8}">{escape(name)}</text>']
    for value in (0.0, 0.5, 1.0):
        y = top + height * (1 - value)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}h{width}"/>')
        parts.append(f'<text class="small" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in (1, rounds):
        x = left + width * (value - 0.5) / rounds
        label = f"round {value}" if value == 1 else str(value)
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{top + height + 16}" text-anchor="middle">{label}</text>'
        )
    for kind, colour in zip(kinds, _COLOURS, strict=False):
        if kind not in lines:
            continue
        step = width / rounds
        points = " ".join(
            f"{left + step * (at + 0.5):.1f},{top + height * (1 - value):.1f}"
            for at, value in enumerate(lines[kind].tolist())
            if np.isfinite(value)
        )
        parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
    return parts
