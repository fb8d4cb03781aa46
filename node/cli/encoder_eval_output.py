"""Rows of an evaluation as tables, JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from node.cli.output import counted, print_json, print_table, say
from node.evaluation.exam import METRICS

if TYPE_CHECKING:
    from node.evaluation.exam import Exam
    from node.evaluation.metrics import Estimate
    from node.evaluation.row_store import Row

_TABLES: Final = {
    "Retrieval": (
        "mask_reciprocal_rank",
        "mask_recall_1",
        "mask_recall_10",
        "gap_reciprocal_rank",
        "gap_recall_10",
        "caption_reciprocal_rank",
        "caption_recall_10",
    ),
    "Classes": ("nearest", "neighbours", "triplets", "mutual_information", "rand_index"),
    "Parts and space": (
        "discrimination",
        "recomposition",
        "differential_loss",
        "alignment",
        "uniformity",
    ),
}
"""What tables show; JSON and CSV have every figure."""


class Form(Enum):
    """How an evaluation is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def print_evaluation(exam: Exam, rows: Sequence[Row], form: Form) -> None:
    """Print every row in the form asked for."""
    match form:
        case Form.JSON:
            print_json(_document(exam, rows))
        case Form.CSV:
            say(_csv(rows).rstrip("\n"))
        case Form.TABLE:
            _print_tables(exam, rows)


def _print_tables(exam: Exam, rows: Sequence[Row]) -> None:
    classes = len(set(exam.data.labels))
    say(f"{counted(len(exam.data.items), 'item')} of {classes} classes: {exam.data.name}.")
    for title, names in _TABLES.items():
        shown = [name for name in names if any(name in row.figures for row in rows)]
        if not shown:
            continue
        headings = [METRICS[name].heading for name in shown]
        cells = [[row.model, row.space, *(_cell(row.figures.get(name)) for name in shown)] for row in rows]
        say("")
        print_table(title, ["model", "space", *headings], cells, right=frozenset(headings))
    withheld = [row for row in rows if row.withheld]
    for row in withheld:
        say(f"{row.model} returned no numbers for {row.withheld} of {counted(row.asked, 'view')}.")
    say("After the sign half of the 95 % interval. Less is better of R, ||f-m-v||, alignment, uniformity.")


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.3f} ±{(estimate.high - estimate.low) / 2:.3f}"


def _document(exam: Exam, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "data": exam.data.name,
        "modality": exam.data.modality,
        "items": len(exam.data.items),
        "classes": len(set(exam.data.labels)),
        "gallery": int(exam.gallery.sum()),
        "seed": exam.seed,
        "rows": [
            {
                "model": row.model,
                "space": row.space,
                "dimensions": row.dimensions,
                "asked": row.asked,
                "withheld": row.withheld,
                "figures": {name: figure.document() for name, figure in row.figures.items()},
            }
            for row in rows
        ],
    }


def _csv(rows: Sequence[Row]) -> str:
    """One line a row; of each figure the value and both ends of its interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    shown = [name for name in METRICS if any(name in row.figures for row in rows)]
    ends = [f"{name}{end}" for name in shown for end in ("", "_low", "_high")]
    writer.writerow(["model", "space", "dimensions", "asked", "withheld", *ends])
    for row in rows:
        figures = [row.figures.get(name) for name in shown]
        values = [
            "" if one is None else f"{value:.6g}"
            for one in figures
            for value in ((one.value, one.low, one.high) if one else (0.0, 0.0, 0.0))
        ]
        writer.writerow([row.model, row.space, row.dimensions, row.asked, row.withheld, *values])
    return text.getvalue()
