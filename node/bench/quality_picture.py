"""The quality benchmark as a picture: one row of marks for each network, its consensuses side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from node.bench.quality import CONSENSUS_NAMES
from node.bench.quality_summary import Summary
from node.picture_style import DARK_STYLE

_WIDTH: Final = 960
_LEFT: Final = 210
_RIGHT: Final = 920
_TOP: Final = 130
_ROW: Final = 62
_COLOURS: Final = {
    "best_single": "#8a93a0",
    "best_single_shaped": "#3d4654",
    "plain": "#d9a441",
    "plain_shaped": "#a8761a",
    "weighted": "#6ea8e0",
    "weighted_shaped": "#1b5fb0",
    "cross_fitted_shaped": "#2f8f5b",
}
_STYLE: Final = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .grid { stroke: #d4d6da } .lane { stroke: #b9bdc4 }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .small { font-size: 12px; fill: #596273 } .strong { font-weight: bold }
"""


def quality_picture(summaries: Sequence[Summary], title: str) -> str:
    """An SVG of the mean reciprocal rank of every consensus of every network."""
    values = [value for one in summaries for value in one.figures.values()]
    low, high = max(0.0, min(values) - 0.02), min(1.0, max(values) + 0.02)
    height = _TOP + _ROW * len(summaries) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}{DARK_STYLE}</style>",
        f'<rect class="panel" x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="8"/>',
        f'<text class="strong" x="24" y="34">{escape(title)}</text>',
    ]
    parts += _legend()
    parts += _grid(low, high, height)
    for row, one in enumerate(summaries):
        y = _TOP + _ROW * row + 24
        parts.append(f'<text x="24" y="{y}">{escape(one.network)}</text>')
        gain = f"{len(one.encoders)} encoders, {one.gain:+.3f}"
        parts.append(f'<text class="small" x="24" y="{y + 17}">{gain}</text>')
        parts.append(f'<path class="lane" d="M{_LEFT} {y}H{_RIGHT}"/>')
        for name, value in one.figures.items():
            x = _place(value, low, high)
            label = escape(f"{CONSENSUS_NAMES[name]}: {value:.3f}")
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y}" r="7" fill="{_COLOURS[name]}" fill-opacity=".85">'
                f"<title>{label}</title></circle>"
            )
    return "\n".join([*parts, "</svg>", ""])


def _legend() -> list[str]:
    parts = []
    for index, (name, words) in enumerate(CONSENSUS_NAMES.items()):
        x, y = 32 + 222 * (index % 4), 60 + 22 * (index // 4)
        parts.append(f'<circle cx="{x}" cy="{y}" r="6" fill="{_COLOURS[name]}"/>')
        parts.append(f'<text class="small" x="{x + 12}" y="{y + 4}">{escape(words)}</text>')
    return parts


def _grid(low: float, high: float, height: int) -> list[str]:
    parts = []
    for step in range(int(low * 20) + 1, int(high * 20) + 1):
        x = _place(step / 20, low, high)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP - 14}V{height - 20}"/>')
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{_TOP - 18}" text-anchor="middle">{step / 20:.2f}</text>'
        )
    return parts


def _place(value: float, low: float, high: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * (value - low) / max(high - low, 1e-9)
