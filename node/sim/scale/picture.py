"""Messages, bytes and CPU of a node against the number of encoders and of validators, as one SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from node.picture_style import DARK_STYLE
from node.sim.scale.growth import METRICS, Growth, shown
from node.sim.scale.meter import Part

_WIDTH: Final = 960
_PANEL_WIDTH: Final = 246
_PANEL_HEIGHT: Final = 236
_LEFT: Final = 66
_TOP: Final = 118
_GAP_X: Final = 58
_GAP_Y: Final = 70
_COLOURS: Final = {
    Part.DEALER: "#b3372f",
    Part.VALIDATOR: "#c98500",
    Part.SAMPLED: "#1b5fb0",
    Part.UNSAMPLED: "#3d8a4e",
}
_UNITS: Final = {"messages": "messages", "bytes": "bytes", "CPU": "CPU, ms"}
_STYLE: Final = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .grid { stroke: #e3e4e7 } .frame { fill: none; stroke: #b6bac2 }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .small { font-size: 11px; fill: #596273 } .strong { font-weight: bold }
  .power { font-size: 11px } .line { fill: none; stroke-width: 1.6 }
"""

Curve = Sequence[tuple[int, float]]


def draw_growth(title: str, subtitle: str, growths: Sequence[Growth]) -> str:
    """A row of panels for each series of sizes; every line with its fitted exponent."""
    height = _TOP + len(growths) * (_PANEL_HEIGHT + _GAP_Y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}{DARK_STYLE}</style>",
        f'<rect class="panel" x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="8"/>',
        f'<text class="strong" x="24" y="34">{escape(title)}</text>',
        f'<text class="small" x="24" y="54">{escape(subtitle)}</text>',
    ]
    for place, (part, colour) in enumerate(_COLOURS.items()):
        x = 26 + 190 * place
        parts.append(f'<path class="line" stroke="{colour}" d="M{x} 78h26"/>')
        parts.append(f'<text class="small" x="{x + 32}" y="82">{part.value}</text>')
    for row, growth in enumerate(growths):
        for column, metric in enumerate(METRICS):
            x = _LEFT + column * (_PANEL_WIDTH + _GAP_X)
            y = _TOP + row * (_PANEL_HEIGHT + _GAP_Y)
            parts += _panel(growth, metric, x, y)
    return "\n".join([*parts, "</svg>", ""])


def _panel(growth: Growth, metric: str, left: int, top: int) -> list[str]:
    curves = {part: curve for part in Part if (curve := growth.curve(part, metric))}
    values = [value for curve in curves.values() for _, value in curve if value > 0]
    sizes = [size for curve in curves.values() for size, _ in curve]
    if not values:
        return []
    plot = _Plot(left, top, min(sizes), max(sizes), min(values), max(values))
    parts = [
        f'<text class="small strong" x="{left}" y="{top - 8}">{_UNITS[metric]}</text>',
        _exponents(growth, metric, left + _PANEL_WIDTH, top - 8),
        *plot.axes(growth.along),
    ]
    for part, curve in curves.items():
        colour, fitted = _COLOURS[part], growth.exponent(part, metric)
        grows = "" if fitted is None else f" ~ {growth.along}^{shown(fitted)}"
        parts.append(
            f'<path class="line" stroke="{colour}" d="{plot.path(curve)}">'
            f"<title>{part.value}{grows}</title></path>"
        )
        for size, value in curve:
            parts.append(
                f'<circle cx="{plot.x(size):.1f}" cy="{plot.y(value):.1f}" r="2.2" fill="{colour}">'
                f"<title>{part.value}, {size:,} {growth.along}: {value:,.4g}</title></circle>"
            )
    return parts


def _exponents(growth: Growth, metric: str, right: int, y: int) -> str:
    """The fits of a panel, in the colours of its lines."""
    fitted = [(part, growth.exponent(part, metric)) for part in Part]
    spans = [
        f'<tspan dx="5" fill="{_COLOURS[part]}">{shown(power)}</tspan>'
        for part, power in fitted
        if power is not None
    ]
    return f'<text class="power" x="{right}" y="{y}" text-anchor="end">p ={"".join(spans)}</text>'


class _Plot:
    """Where a size and a load lie: both axes are logarithmic, the load's in whole decades."""

    def __init__(self, left: int, top: int, first: int, last: int, least: float, most: float) -> None:
        self._left, self._top = left, top
        self._first, self._last = log10(first), max(log10(last), log10(first) + 0.1)
        self._low = floor(log10(least))
        self._high = max(ceil(log10(most)), self._low + 1)

    def x(self, size: float) -> float:
        """Pixels from the left."""
        return self._left + _PANEL_WIDTH * (log10(size) - self._first) / (self._last - self._first)

    def y(self, load: float) -> float:
        """Pixels from the top."""
        depth = (self._high - log10(max(load, 10.0**self._low))) / (self._high - self._low)
        return self._top + _PANEL_HEIGHT * depth

    def path(self, curve: Curve) -> str:
        """A line through the points."""
        return "M" + "L".join(f"{self.x(size):.1f} {self.y(load):.1f}" for size, load in curve)

    def axes(self, along: str) -> list[str]:
        """Frame, grid and labels."""
        right, bottom = self._left + _PANEL_WIDTH, self._top + _PANEL_HEIGHT
        parts = []
        for decade in range(self._low, self._high + 1):
            y = self.y(10.0**decade)
            parts.append(f'<path class="grid" d="M{self._left} {y:.1f}H{right}"/>')
            parts.append(
                f'<text class="small" x="{self._left - 6}" y="{y + 4:.1f}" text-anchor="end">'
                f"{_power(decade)}</text>"
            )
        for size in (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000):
            if self._first - 0.01 <= log10(size) <= self._last + 0.01:
                x = self.x(size)
                parts.append(f'<path class="grid" d="M{x:.1f} {self._top}V{bottom}"/>')
                parts.append(
                    f'<text class="small" x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{size:,}</text>'
                )
        parts.append(
            f'<rect class="frame" x="{self._left}" y="{self._top}" width="{_PANEL_WIDTH}" '
            f'height="{_PANEL_HEIGHT}"/>'
        )
        parts.append(
            f'<text class="small" x="{(self._left + right) // 2}" y="{bottom + 31}" text-anchor="middle">'
            f"{along}</text>"
        )
        return parts


def _power(decade: int) -> str:
    if 0 <= decade <= 3:
        return f"{10**decade:,}"
    return f"1e{decade}"
