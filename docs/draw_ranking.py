"""Draws docs/images/ranking.svg: scores of real encoders against their quality, by the literal rule and ours.

deltamesh bench quality --network all --split held-out --seeds 5 --json > docs/quality.json
python docs/draw_ranking.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sketch import Sketch

from scoring import HARDENED

ROWS = Path(__file__).parent / "quality.json"
TARGET = Path(__file__).parent / "images" / "ranking.svg"
NETWORK = "all"
SIDE, TOP, LEFT, GAP = 400, 112, 76, 90
HIGHEST = 0.97
"""How far up a panel the best score lies."""
KINDS = (
    ("minilm", "MiniLM, seven layers read two ways", "#1b5fb0"),
    ("wordllama", "word vectors", "#2f8f5b"),
    ("lsa ppmi", "LSA and PPMI", "#a8761a"),
    ("", "letters, words, atoms: hashed", "#b3372f"),
)
PANELS = (
    ("literal", "literal: weight by ||f - m - v||"),
    (HARDENED.name, "hardened: the mask must find its inverse, gated"),
)


def kind_of(name: str) -> int:
    """Which of KINDS an encoder is."""
    for place, (prefixes, _, _) in enumerate(KINDS):
        if any(name.startswith(prefix) for prefix in prefixes.split()):
            return place
    return len(KINDS) - 1


def picture() -> str:
    """The whole SVG."""
    told = json.loads(ROWS.read_text(encoding="utf-8"))
    (network,) = (one for one in told["networks"] if one["network"] == NETWORK)
    encoders = network["encoders"]
    s = Sketch("Scores of real encoders against their quality", 2 * SIDE + LEFT + GAP + 44, TOP + SIDE + 116)
    s.text(24, 38, f"Scores of {len(encoders)} real encoders against their quality", "title", "start")
    s.text(
        24,
        62,
        "Quality: finding the second half of a text by its first, mean reciprocal rank.",
        "small",
        "start",
    )
    for place, (rule, title) in enumerate(PANELS):
        _panel(s, LEFT + place * (SIDE + GAP), rule, title, network)
    for place, (_, words, colour) in enumerate(KINDS):
        x = LEFT + (0, 300, 440, 580)[place]
        s.parts.append(f'<circle class="dot" cx="{x}" cy="{s.height - 28}" r="5" fill="{colour}"/>')
        s.text(x + 12, s.height - 24, words, "small", "start")
    return s.svg()


def _panel(s: Sketch, left: int, rule: str, title: str, network: dict[str, Any]) -> None:
    encoders = network["encoders"]
    most = max(one["score"][rule] for one in encoders)
    best = max(one["quality"] for one in encoders)
    right_end = 0.1 * -(-best // 0.1)
    s.text(left, TOP - 14, title, "strong", "start")
    correlation = f"rank correlation {network['correlation'][rule]:+.2f}"
    s.text(left + SIDE - 10, TOP + SIDE - 14, correlation, "strong", "end")
    s.parts.insert(0, f'<rect class="box" x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>')
    for tenths in range(round(right_end * 10) + 1):
        x = left + round(SIDE * tenths / 10 / right_end)
        s.text(x, TOP + SIDE + 18, f"{tenths / 10:.1f}", "small")
    for step in range(5):
        y = TOP + SIDE - round(HIGHEST * SIDE * step / 4) + 4
        s.text(left - 8, y, f"{step / 4:.2f}", "small", "end")
    s.text(left + SIDE, TOP + SIDE + 40, "right: quality", "small", "end")
    s.text(left, TOP + SIDE + 40, "up: score over the best", "small", "start")
    for one in encoders:
        x = left + SIDE * one["quality"] / right_end
        y = TOP + SIDE * (1 - HIGHEST * one["score"][rule] / most)
        colour = KINDS[kind_of(one["name"])][2]
        s.parts.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}">'
            f"<title>{one['name']}</title></circle>"
        )


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
