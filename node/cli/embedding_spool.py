"""An export under way: what was read so far lies beside its destination, so that a later run can go on.

Vectors are appended to one file and their facts to another, line by line. A round counts once the line that
closes it is written; what follows the last closed round is cut off when the export is resumed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

VECTOR_BYTES: Final = 4_096
_CLOSED: Final = "closed_round"


@dataclass(frozen=True, slots=True)
class EmbeddingRow:
    """One exported embedding without its vector. `position` orders it within its shard's batch."""

    item_id: str
    text: str | None
    round: int
    shard: int
    position: int
    space_epoch: int


class EmbeddingSpool:
    """The folder `.<destination>.partial`. One export at a time may write it."""

    def __init__(self, destination: Path, selection: dict[str, Any]) -> None:
        """Open what an earlier run of the same selection left, or begin anew. Raises OSError."""
        self.folder: Final = destination.with_name(f".{destination.name}.partial")
        self.rows_file: Final = self.folder / "rows.jsonl"
        self.vectors_file: Final = self.folder / "vectors.f32"
        self.draft_file: Final = self.folder / f"draft{destination.suffix}"
        """Becomes the destination when it is whole."""
        self._selection_file = self.folder / "selection.json"
        self.next_round = 0
        """Rounds below are complete."""
        self.count = 0
        """Embeddings held."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        wanted = json.dumps(selection, sort_keys=True)
        if not self._selection_file.exists() or self._selection_file.read_text(encoding="utf-8") != wanted:
            self.rows_file.write_bytes(b"")
            self.vectors_file.write_bytes(b"")
            self._selection_file.write_text(wanted, encoding="utf-8")
        else:
            self._resume()

    def append_round(self, round_: int, rows: Iterable[tuple[EmbeddingRow, bytes]]) -> int:
        """Add one whole round; return how many embeddings it has. Raises OSError."""
        added = 0
        with self.rows_file.open("a", encoding="utf-8") as facts, self.vectors_file.open("ab") as vectors:
            for row, vector in rows:
                vectors.write(vector)
                facts.write(json.dumps(_values(row), ensure_ascii=True) + "\n")
                added += 1
            # Vectors first: a closed round must have all of its own.
            vectors.flush()
            os.fsync(vectors.fileno())
            facts.write(json.dumps({_CLOSED: round_, "count": self.count + added}) + "\n")
        self.next_round, self.count = round_ + 1, self.count + added
        return added

    def rows(self) -> Iterator[EmbeddingRow]:
        """All rows in order, one at a time."""
        with self.rows_file.open(encoding="utf-8") as file:
            for line in file:
                values = json.loads(line)
                if isinstance(values, list):
                    yield EmbeddingRow(*values)

    def vectors(self, rows_max: int) -> Iterator[bytes]:
        """The vectors of the rows in order, at most `rows_max` at a time."""
        with self.vectors_file.open("rb") as file:
            while data := file.read(rows_max * VECTOR_BYTES):
                yield data

    def remove(self) -> None:
        """The export is complete: leave nothing behind."""
        for path in (self.rows_file, self.vectors_file, self.draft_file, self._selection_file):
            path.unlink(missing_ok=True)
        self.folder.rmdir()

    def _resume(self) -> None:
        kept_bytes = 0
        read_bytes = 0
        with self.rows_file.open("rb") as file:
            for line in file:
                read_bytes += len(line)
                try:
                    values = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    values = None
                if values is None:
                    break
                if isinstance(values, dict):
                    if self.vectors_file.stat().st_size < values["count"] * VECTOR_BYTES:
                        break
                    self.next_round, self.count = values[_CLOSED] + 1, values["count"]
                    kept_bytes = read_bytes
        os.truncate(self.rows_file, kept_bytes)
        os.truncate(self.vectors_file, self.count * VECTOR_BYTES)


def _values(row: EmbeddingRow) -> list[Any]:
    return [row.item_id, row.text, row.round, row.shard, row.position, row.space_epoch]
