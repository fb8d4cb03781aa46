"""Draws docs/images/drift.svg: how far the consensus moves, and what it finds, epoch by epoch.

python benchmarks/alignment_drift.py --minilm --json docs/drift.json
python docs/draw_drift.py docs/drift.json
"""

from __future__ import annotations

import json
import sys
from html import escape
from pathlib import Path

TARGET = Path(__file__).parent / "images" / "drift.svg"
WIDTH, PANEL, LEFT, TOP, GAP = 960, 240, 70, 60, 70
COLOURS = ("#8a93a0", "#1b5fb0", "#2f8f5b", "#c0392b", "#a8761a", "#7d4bb0")
STYLE = """
  .panel { fill: #fcfcfb; stroke: #d4d6da } .grid { stroke: #d4d6da }
  text { fill: #1d2430; font: 14px "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif }
  .small { font-size: 12px; fill: #596273 } .strong { font-weight: bold }
  polyline { fill: none; stroke-width: 2 }
  @media (prefers-color-scheme: dark) { svg { filter: invert(.91) hue-rotate(180deg) } }
"""
PANELS = (
    ("moved", "How far the consensus has moved: 1 - mean cosine to the first epoch's"),
    ("retrieval", "A mask's consensus finds its inverse's: mean reciprocal rank"),
)


def panel(schemes: dict[str, dict[str, list[float]]], what: str, title: str, top: float) -> list[str]:
    """One panel: a line a scheme over epochs."""
    values = [value for one in schemes.values() for value in one[what]]
    low, high = (0.0, max(values) * 1.08) if what == "moved" else (min(values) - 0.01, max(values) + 0.01)
    epochs = max(len(one[what]) for one in schemes.values())
    right = WIDTH - 250
    parts = [
        f'<text class="strong" x="{LEFT}" y="{top - 12}">{escape(title)}</text>',
        f'<rect class="panel" x="{LEFT}" y="{top}" width="{right - LEFT}" height="{PANEL}"/>',
    ]
    for step in range(5):
        value = low + (high - low) * step / 4
        y = top + PANEL - PANEL * step / 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
    for epoch in range(0, epochs, 10):
        x = LEFT + (right - LEFT) * epoch / (epochs - 1)
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{top + PANEL + 18}" text-anchor="middle">{epoch}</text>'
        )
    for number, (name, one) in enumerate(schemes.items()):
        colour = COLOURS[number]
        points = " ".join(
            f"{LEFT + (right - LEFT) * epoch / (epochs - 1):.1f},"
            f"{top + PANEL - PANEL * (value - low) / (high - low):.1f}"
            for epoch, value in enumerate(one[what])
        )
        parts.append(f'<polyline points="{points}" stroke="{colour}"/>')
        y = top + 16 + 22 * number
        ends = f'x1="{right + 14}" x2="{right + 34}" y1="{y}" y2="{y}"'
        parts.append(f'<line {ends} stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text class="small" x="{right + 40}" y="{y + 4}">{escape(name)}</text>')
    return parts


def main() -> None:
    """Draw the figure from the benchmark's JSON."""
    schemes = json.loads(Path(sys.argv[1]).read_text())["schemes"]
    height = TOP + 2 * PANEL + GAP + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Encoders that follow their consensus</title><style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for place, (what, title) in enumerate(PANELS):
        parts += panel(schemes, what, title, TOP + place * (PANEL + GAP))
    parts.append(
        f'<text class="small" x="{LEFT}" y="{height - 8}">epochs of 8 rounds of 64 items</text></svg>'
    )
    TARGET.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
