"""The demonstration of the waves as a picture: the forgers' weight round by round, one panel a forgery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

import numpy as np

from node.bench.waves import Order
from node.bench.waves_run import Case, Outcome

_PANEL: Final = (280, 150)
_COLUMNS: Final = 3
_MARGIN: Final = (56, 96)
_GAP: Final = (44, 62)
_COLOURS: Final = {
    "all seen at once, no probes": "#c2412d",
    "all seen at once, probes": "#d9a441",
    "waves": "#1b5fb0",
}
_STYLE: Final = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .grid { stroke: #e3e5e8 } .line { fill: none; stroke-width: 2.5 }
  text { font: 12px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1d2430 }
  .head { font-weight: bold; font-size: 14px } .small { font-size: 11px; fill: #596273 }
"""


def draw_waves(results: Mapping[Case, Sequence[Outcome]], title: str) -> str:
    """Weight over rounds, worst of all seeds, as an SVG. Forgeries that need no full view are left out."""
    attacks = [case for case in results if case.order is Order.AT_ONCE and case.attack != "honest"]
    lines = -(-len(attacks) // _COLUMNS)
    width = _MARGIN[0] + _COLUMNS * (_PANEL[0] + _GAP[0])
    height = _MARGIN[1] + lines * (_PANEL[1] + _GAP[1])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect class="panel" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="6"/>',
        f'<text class="head" x="20" y="28">{escape(title)}</text>',
    ]
    for place, (words, colour) in enumerate(_COLOURS.items()):
        x = 20 + 220 * place
        parts.append(f'<path class="line" stroke="{colour}" d="M{x} 50h24"/>')
        parts.append(f'<text x="{x + 30}" y="54">{escape(words)}</text>')
    for place, case in enumerate(attacks):
        line, column = divmod(place, _COLUMNS)
        left = _MARGIN[0] + column * (_PANEL[0] + _GAP[0])
        top = _MARGIN[1] + line * (_PANEL[1] + _GAP[1])
        parts += _panel(left, top, case, results)
    return "\n".join([*parts, "</svg>", ""])


def _panel(left: int, top: int, case: Case, results: Mapping[Case, Sequence[Outcome]]) -> list[str]:
    width, height = _PANEL
    found = results[case]
    rounds = len(found[0].weight_by_round)
    parts = [f'<text class="head" x="{left}" y="{top - 8}">{escape(case.name)}</text>']
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
    flat = np.full(rounds, max(one.unprobed.weight_captured for one in found))
    in_waves = results.get(Case(case.attack, Order.WAVES), [])
    series = [flat, np.max([one.weight_by_round for one in found], axis=0)]
    if in_waves:
        series.append(np.max([one.weight_by_round for one in in_waves], axis=0))
    for values, colour in zip(series, _COLOURS.values(), strict=False):
        step = width / rounds
        points = " ".join(
            f"{left + step * (at + 0.5):.1f},{top + height * (1 - value):.1f}"
            for at, value in enumerate(values.tolist())
        )
        parts.append(f'<polyline class="line" stroke="{colour}" points="{points}"/>')
    return parts
