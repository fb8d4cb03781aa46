"""Writes the tables of docs/waves.md from the files beside it: `python docs/write_waves.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "waves.md"
ROWS = Path(__file__).parent / "waves.json"
SIMULATED = Path(__file__).parent / "waves-simulated.json"
_BEGIN, _END = "<!-- {} -->", "<!-- end of {} -->"


def _forgers(rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = "forgery | seen | weight | moved | honest | exposed after | of them | weight | moved | last"
    yield f"| {columns} |"
    yield f"|{'---|' * len(columns.split('|'))}"
    for row in rows:
        after = "never" if row["exposed_after"] is None else f"{row['exposed_after']:g}"
        before = " | ".join(f"{row[name]:.2f}" for name in ("weight", "moved", "honest_score"))
        probed = " | ".join(f"{row[name]:.2f}" for name in ("weight_probed", "moved_probed", "weight_last"))
        name = row["attack"] if row["probing"] == "encoded" else f"{row['attack']}, {row['probing']}"
        yield f"| {name} | {row['order']} | {before} | {after} | {row['exposed_share']:.0%} | {probed} |"


def _honest(kinds: list[dict[str, Any]]) -> Iterator[str]:
    yield "| shards | honest encoders | exposed | bent | leaning | highest sum |"
    yield "|---|---|---|---|---|---|"
    for kind in kinds:
        shares = f"{kind['bent_share_max']:.3f} | {kind['leaning_share_max']:.3f} | {kind['highest']:.2f}"
        yield f"| {kind['shards']} | {kind['encoders']:,} | {kind['exposed']} | {shares} |"


def _simulated(rows: list[dict[str, Any]]) -> Iterator[str]:
    columns = "forgery | seen | records | weight | last epoch | honest | exposed after | of them | out from"
    yield f"| {columns} |"
    yield f"|{'---|' * len(columns.split('|'))}"
    for row in rows:
        after = "never" if row["exposed_after"] is None else f"{row['exposed_after']:g}"
        out = "never" if row["out_from"] is None else f"round {row['out_from']}"
        figures = " | ".join(f"{row[name]:.2f}" for name in ("weight", "weight_last", "honest_score"))
        conditions = f"{row['attack']} | {row['order']} | {row['probes']}"
        yield f"| {conditions} | {figures} | {after} | {row['exposed_share']:.0%} | {out} |"


def page() -> str:
    """The page with its tables replaced."""
    document = json.loads(ROWS.read_text(encoding="utf-8"))
    simulated = json.loads(SIMULATED.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in {
        "forgers": _forgers(document["rows"]),
        "honest": _honest(document["honest"]),
        "simulated": _simulated(simulated["rows"]),
    }.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{chr(10).join(lines)}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
