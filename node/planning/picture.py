"""The chances of a takeover and of a stall by shard size, on a log axis, as an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, log10
from typing import Final

from node.picture_style import DARK_STYLE

_WIDTH: Final = 900
_HEIGHT: Final = 520
_LEFT: Final = 86
_RIGHT: Final = 872
_TOP: Final = 104
_BOTTOM: Final = 462
_TAKEOVER: Final = "#b3372f"
_STALL: Final = "#1b5fb0"
_STYLE: Final = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .grid { stroke: #e3e4e7 } .chosen { stroke: #1d2430 }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .small { font-size: 12px; fill: #596273 } .strong { font-weight: bold }
  .line { fill: none; stroke-width: 1.6 }
  .budget { stroke-dasharray: 5 4 }
"""

Curve = Sequence[tuple[int, float]]
"""(shard size, chance) in rising order."""


def draw_plan(
    title: str,
    size: int,
    quorum: int,
    takeover: Curve,
    stall: Curve,
    budgets: tuple[float, float],
    drawn: Curve = (),
) -> str:
    """Both chances by size, the chosen one marked; `drawn` are bounds by draws, as dots."""
    first, last = takeover[0][0], takeover[-1][0]
    # Two decades below the smaller budget: what lies deeper is as good as never.
    decades = ceil(2 - log10(min(budgets)))
    plot = _Plot(first, max(last, first + 1), max(decades, 3))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}{DARK_STYLE}</style>",
        f'<rect class="panel" x="1" y="1" width="{_WIDTH - 2}" height="{_HEIGHT - 2}" rx="8"/>',
        f'<text class="strong" x="24" y="34">{escape(title)}</text>',
        *_legend(quorum / size, bool(drawn)),
        *plot.axes(),
    ]
    for curve, colour, budget in ((takeover, _TAKEOVER, budgets[0]), (stall, _STALL, budgets[1])):
        y = plot.y(budget)
        parts.append(f'<path class="budget" stroke="{colour}" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>')
        parts.append(f'<path class="line" stroke="{colour}" d="{plot.path(curve)}"/>')
    for n, chance in drawn:
        label = f"{n}: under {chance:.2g}"
        parts.append(
            f'<circle cx="{plot.x(n):.1f}" cy="{plot.y(chance):.1f}" r="2.5" fill="{_TAKEOVER}">'
            f"<title>{label}</title></circle>"
        )
    x = plot.x(size)
    side, anchor = (-8, "end") if x > (_LEFT + _RIGHT) / 2 else (8, "start")
    parts.append(f'<path class="chosen" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>')
    parts.append(
        f'<text class="strong" x="{x + side:.1f}" y="{_TOP + 18}" text-anchor="{anchor}">'
        f"size {size}, quorum {quorum}</text>"
    )
    return "\n".join([*parts, "</svg>", ""])


def _legend(share: float, has_draws: bool) -> list[str]:
    words = [(_TAKEOVER, "takeover"), (_STALL, f"stall, quorum {share:.0%} of the shard")]
    parts = []
    for place, (colour, text) in enumerate(words):
        x = 26 + 150 * place
        parts.append(f'<path class="line" stroke="{colour}" d="M{x} 58h26"/>')
        parts.append(f'<text class="small" x="{x + 32}" y="62">{escape(text)}</text>')
    rest = "dashed: budgets"
    if has_draws:
        rest += "; lines: if all stakes were equal; dots: bounds by draws"
    parts.append(f'<text class="small" x="430" y="62">{rest}</text>')
    return parts


class _Plot:
    """Where a size and a chance lie."""

    def __init__(self, first: int, last: int, decades: int) -> None:
        self._first, self._last, self._decades = first, last, decades

    def x(self, size: int) -> float:
        """Pixels from the left."""
        return _LEFT + (_RIGHT - _LEFT) * (size - self._first) / (self._last - self._first)

    def y(self, chance: float) -> float:
        """Pixels from the top; what is under the lowest decade lies on the floor."""
        depth = self._decades if chance <= 0 else min(self._decades, -log10(chance))
        return _TOP + (_BOTTOM - _TOP) * depth / self._decades

    def path(self, curve: Curve) -> str:
        """A line through the points."""
        return "M" + "L".join(f"{self.x(size):.1f} {self.y(chance):.1f}" for size, chance in curve)

    def axes(self) -> list[str]:
        """Grid and labels: chances on the left, sizes below."""
        parts = []
        for decade in range(0, self._decades + 1, max(1, self._decades // 8)):
            y = self.y(10.0**-decade)
            label = "1" if decade == 0 else f"1e-{decade}"
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>')
            parts.append(
                f'<text class="small" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
            )
        step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if (self._last - self._first) / s <= 12)
        for size in range(-(-self._first // step) * step, self._last + 1, step):
            x = self.x(size)
            parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>')
            parts.append(
                f'<text class="small" x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{size}</text>'
            )
        middle = (_LEFT + _RIGHT) // 2
        parts.append(
            f'<text class="small" x="{middle}" y="{_BOTTOM + 40}" text-anchor="middle">shard size</text>'
        )
        return parts
