"""Finished rows of the adversary table on disk, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from blake3 import blake3

import scoring
from node.bench.measure import Figures

FILES_MAX: Final = 8
"""Tables kept, the newest: each change of the code or the question begins another."""
_PREFIX: Final = "adversaries-"
_MODULES: Final = ("adversaries", "measure", "scene", "shards")
"""Modules of the benchmark on which a row depends, beside what was embedded."""


class RowStore:
    """Rows of one question, by key, appended to one file as they are measured.

    The file is named by the question and by the sources of the rule and the benchmark: a change of either
    begins anew.
    """

    def __init__(self, folder: Path, question: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{_PREFIX}{_digest(question)}.jsonl"
        self._rows: dict[str, dict[str, Figures]] = {}
        if self._path.exists():
            self._read()
        files = sorted(folder.glob(f"{_PREFIX}*.jsonl"), key=lambda path: -path.stat().st_mtime_ns)
        for stale in files[FILES_MAX - 1 :]:
            if stale != self._path:
                stale.unlink(missing_ok=True)

    def get(self, key: str) -> dict[str, Figures] | None:
        """The figures by rule, None where they are not measured yet."""
        return self._rows.get(key)

    def put(self, key: str, figures: dict[str, Figures]) -> None:
        """Keep figures by rule."""
        self._rows[key] = figures
        line = json.dumps({"key": key, "rules": {rule: asdict(one) for rule, one in figures.items()}})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _read(self) -> None:
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                self._rows[row["key"]] = {rule: Figures(**one) for rule, one in row["rules"].items()}
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off when the run was stopped: measured again


def _digest(question: str) -> str:
    hasher = blake3(question.encode())
    here = Path(__file__).parent
    rule = sorted(Path(scoring.__file__).parent.rglob("*.py"))
    for path in (*rule, *(here / f"{module}.py" for module in _MODULES)):
        hasher.update(blake3(path.read_bytes()).digest())
    return hasher.hexdigest()[:32]
