"""Draws docs/images/adversaries.svg from docs/adversaries.json: `just images`, or this file by itself."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from node.bench.picture import draw_table

ROWS = Path(__file__).parent / "adversaries.json"
TARGET = Path(__file__).parent / "images" / "adversaries.svg"


def picture() -> str:
    """The whole SVG."""
    kept = json.loads(ROWS.read_text(encoding="utf-8"))
    # Rows as they are kept: those of `node.bench.table` would bring the benchmark and torch along.
    rows = [SimpleNamespace(**row, figures=SimpleNamespace(**row)) for row in kept["rows"]]
    return draw_table(rows, f"Share of the consensus that attackers hold, worst of {kept['seeds']} seeds")


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
