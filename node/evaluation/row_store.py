"""Finished rows of an evaluation on disk, so that one that was stopped goes on, and one repeated is quick."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from blake3 import blake3

from node.evaluation.map import Map
from node.evaluation.metrics import Estimate

FILES_MAX: Final = 16
"""Sets of data kept, the newest."""
ROWS_MAX: Final = 256
"""Rows of one set; beyond, the file begins anew."""
_PREFIX: Final = "evaluation-"
_MODULES: Final = ("baselines", "data", "exam", "fragments", "map", "row_store", "run")
"""Modules on which a row depends, beside the metrics and what was asked."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model's figures."""

    model: str
    space: str
    """`aligned`, `native`, `baseline`, or that of a consensus."""
    dimensions: int
    figures: dict[str, Estimate]
    """By the names of `METRICS`; those it has no answers for are not there."""
    asked: int
    withheld: int
    """Views that came back as no numbers."""
    map: Map


class RowStore:
    """Rows by key, appended to one file as they are measured.

    The file is named by the question and by the sources of the evaluation: a change of either begins anew.
    """

    def __init__(self, folder: Path, question: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{_PREFIX}{_digest(question)}.jsonl"
        self._rows: dict[str, Row] = {}
        if self._path.exists():
            self._read()
        files = sorted(folder.glob(f"{_PREFIX}*.jsonl"), key=lambda path: -path.stat().st_mtime_ns)
        for stale in files[FILES_MAX - 1 :]:
            if stale != self._path:
                stale.unlink(missing_ok=True)

    def get(self, key: str) -> Row | None:
        """The row, None where it is not measured yet."""
        return self._rows.get(key)

    def put(self, key: str, row: Row) -> None:
        """Keep a row. Raises OSError."""
        mode = "a"
        if len(self._rows) >= ROWS_MAX:
            self._rows.clear()
            mode = "w"
        self._rows[key] = row
        with self._path.open(mode, encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "row": asdict(row)}) + "\n")

    def _read(self) -> None:
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                document = json.loads(line)
                self._rows[document["key"]] = _row(document["row"])
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off when the run was stopped: measured again


def _row(given: dict[str, Any]) -> Row:
    figures = {name: Estimate(**one) for name, one in given["figures"].items()}
    places = tuple((float(x), float(y)) for x, y in given["map"]["places"])
    first, second = given["map"]["shares"]
    return Row(**{**given, "figures": figures, "map": Map(places, (first, second))})


def _digest(question: bytes) -> str:
    hasher = blake3(question)
    here = Path(__file__).parent
    for path in (*(here / f"{module}.py" for module in _MODULES), *sorted(here.glob("metrics/*.py"))):
        hasher.update(blake3(path.read_bytes()).digest())
    return hasher.hexdigest()[:32]
