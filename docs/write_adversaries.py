"""Writes the tables of docs/adversaries.md from the rows beside it: `python docs/write_adversaries.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from node.bench.table import attack_description, attack_names
from scoring import HARDENED

PAGE = Path(__file__).parent / "adversaries.md"
ROWS = Path(__file__).parent / "adversaries.json"
HELD_OUT_ROWS = Path(__file__).parent / "adversaries-held-out.json"
_BEGIN, _END = "<!-- {} -->", "<!-- end of {} -->"


def _pair(row: dict[str, Any]) -> str:
    return f"{row['weight_captured']:.2f} / {row['displacement']:.2f} / {row['displacement_shaped']:.2f}"


def _honest(row: dict[str, Any]) -> str:
    return f"{row['honest_score']:.2f} of {row['honest_score_alone']:.2f}, {row['false_alarms']:.0%}"


def _attacker(row: dict[str, Any]) -> str:
    return f"{row['attacker_score']:.2f}, {row['attacker_score_best']:.2f}"


def _table(rows: list[dict[str, Any]], rule: str, cell: Callable[[dict[str, Any]], str]) -> Iterator[str]:
    settings = list(dict.fromkeys(row["setting"] for row in rows if row["attack"] != "better"))
    yield f"| attack | {' | '.join(settings)} |"
    yield f"|---|{'---|' * len(settings)}"
    found = {(row["attack"], row["setting"]): row for row in rows if row["rule"] == rule}
    for attack in dict.fromkeys(row["attack"] for row in rows if row["attack"] != "better"):
        yield f"| {attack} | {' | '.join(cell(found[attack, setting]) for setting in settings)} |"


def _better(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| setting | rule | its score | others' | weight | moved | moved, shaped | nearer to it |"
    yield "|---|---|---|---|---|---|---|---|"
    names = (
        "attacker_score",
        "honest_score",
        "weight_captured",
        "displacement",
        "displacement_shaped",
        "pull",
    )
    for row in rows:
        if row["attack"] == "better":
            figures = " | ".join(f"{row[name]:.3f}" for name in names)
            yield f"| {row['setting']} | {row['rule']} | {figures} |"


def _attacks() -> Iterator[str]:
    yield "| attack | what it does |"
    yield "|---|---|"
    yield from (f"| {name} | {attack_description(name)} |" for name in attack_names())


def main() -> None:
    """Replace what stands between the markers."""
    rows, held_out = (json.loads(path.read_text(encoding="utf-8"))["rows"] for path in (ROWS, HELD_OUT_ROWS))
    parts = {
        "attacks": _attacks(),
        "hardened": _table(rows, HARDENED.name, _pair),
        "attackers": _table(rows, HARDENED.name, _attacker),
        "honest": _table(rows, HARDENED.name, _honest),
        "literal": _table(rows, "literal", _pair),
        "better": _better(rows),
        "held-out": _table(held_out, HARDENED.name, _pair),
        "held-out better": _better(held_out),
    }
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in parts.items():
        begin, end = _BEGIN.format(name), _END.format(name)
        before, _, rest = page.partition(begin)
        table = "\n".join(lines)
        page = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
