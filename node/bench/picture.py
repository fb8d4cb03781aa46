"""The adversary table as a picture: one row an attack, one cell a setting, hardened beside literal."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from node.picture_style import DARK_STYLE

if TYPE_CHECKING:
    from node.bench.table import Row

_CELL_WIDTH: Final = 64
_CELL_HEIGHT: Final = 22
_LEFT: Final = 150
_TOP: Final = 92
_GAP: Final = 28
_FULL_RED_AT: Final = 0.5
"""The figure at which a cell is as red as it gets."""
_STYLE: Final = """
  text { font: 12px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #1d2430 }
  .panel { fill: #fcfcfb; stroke: #d4d6da } .head { font-weight: bold; font-size: 14px }
  .small { font-size: 11px; fill: #596273 } .cell { text-anchor: middle; fill: #1d2430 }
"""


def draw_table(rows: Sequence[Row], title: str) -> str:
    """The weight that attackers captured, worst of all seeds, as an SVG; red is bad."""
    attacks = list(dict.fromkeys(row.attack for row in rows))
    settings = list(dict.fromkeys(row.setting for row in rows))
    rules = list(dict.fromkeys(row.rule for row in rows))
    captured = {(row.attack, row.setting, row.rule): row.figures.weight_captured for row in rows}
    block = _CELL_WIDTH * len(settings) + _GAP
    width, height = _LEFT + block * len(rules), _TOP + _CELL_HEIGHT * len(attacks) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}{DARK_STYLE}</style>",
        f'<rect class="panel" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="6"/>',
        f'<text class="head" x="14" y="26">{escape(title)}</text>',
    ]
    for place, rule in enumerate(rules):
        left = _LEFT + place * block
        parts.append(f'<text class="head" x="{left}" y="58">{escape(rule)}</text>')
        for column, setting in enumerate(settings):
            x = left + column * _CELL_WIDTH
            parts.append(
                f'<text class="small" x="{x + 32}" y="78" text-anchor="middle">{escape(setting)}</text>'
            )
            for line, attack in enumerate(attacks):
                value = captured.get((attack, setting, rule))
                if value is not None:
                    parts += _cell(x, _TOP + line * _CELL_HEIGHT, value)
    for line, attack in enumerate(attacks):
        parts.append(f'<text x="14" y="{_TOP + line * _CELL_HEIGHT + 15}">{escape(attack)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _cell(x: int, y: int, value: float) -> list[str]:
    depth = min(1.0, value / _FULL_RED_AT)
    # From a pale green by way of white to red: the sign of trouble is the hue, its size the number.
    green, other = round(245 - 135 * depth), round(235 - 135 * depth)
    red = round(232 + 10 * depth)
    return [
        f'<rect x="{x}" y="{y}" width="{_CELL_WIDTH - 2}" height="{_CELL_HEIGHT - 2}" rx="3" '
        f'fill="rgb({red},{green},{other})"/>',
        f'<text class="cell" x="{x + _CELL_WIDTH // 2 - 1}" y="{y + 15}">{value:.2f}</text>',
    ]
