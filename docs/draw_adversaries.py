"""Draws docs/images/adversaries.svg from docs/adversaries.json: `just images`, or this file by itself."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from node.bench.measure import Figures
from node.bench.picture import draw_table
from node.bench.table import Row

ROWS = Path(__file__).parent / "adversaries.json"
TARGET = Path(__file__).parent / "images" / "adversaries.svg"


def picture() -> str:
    """The whole SVG."""
    kept = json.loads(ROWS.read_text(encoding="utf-8"))
    names = [field.name for field in fields(Figures)]
    rows = [
        Row(row["attack"], row["setting"], row["rule"], Figures(*(row[name] for name in names)))
        for row in kept["rows"]
    ]
    return draw_table(rows, f"Share of the consensus that attackers hold, worst of {kept['seeds']} seeds")


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
