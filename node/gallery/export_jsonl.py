"""Exports as JSON lines: first what holds for all rows, then one object a row."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from node.gallery.errors import ExportError, translated
from node.gallery.export_rows import ExportedRow, checked_row, head_of
from node.gallery.limits import DIMENSIONS, EXPORT_LINE_BYTES_MAX, EXPORT_ROWS_MAX

NUMBERS: Final = ("round", "shard", "space_epoch")
_PACK: Final = struct.Struct(f"<{DIMENSIONS}f")


class JsonlExport:
    """A `.jsonl` export. Lines are read one at a time, and none longer than any row is."""

    rows: int | None = None

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._head = head_of(path, _object(path, 1, self._line(1)))
        self.network_id = self._head.network_id
        self.space = self._head.space
        self.modality = self._head.modality

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def parts(self, start: int, rows_max: int) -> Iterator[list[ExportedRow]]:
        """Its rows from number `start` on. Raises ExportError."""
        part: list[ExportedRow] = []
        number = 1
        while line := self._line(number + 1):
            number += 1
            if number - 1 > EXPORT_ROWS_MAX:
                raise ExportError(f"{self._path} has more than {EXPORT_ROWS_MAX:,} rows: add it in parts")
            if number - 1 <= start:
                continue
            part.append(self._row(number, line))
            if len(part) == rows_max:
                yield part
                part = []
        if part:
            yield part

    def _row(self, number: int, line: bytes) -> ExportedRow:
        found = _object(self._path, number, line)
        numbers = {name: found.get(name) for name in NUMBERS}
        vector = _vector(found.get("vector"))
        where = f"{self._path}, line {number}"
        return checked_row(where, self._head, found.get("item_id"), found.get("text"), numbers, vector)

    def _line(self, number: int) -> bytes:
        with translated(self._path):
            line = self._file.readline(EXPORT_LINE_BYTES_MAX + 1)
        if len(line) > EXPORT_LINE_BYTES_MAX:
            raise ExportError(f"{self._path}, line {number}, is longer than any row of an export")
        return line


def open_jsonl(path: Path) -> JsonlExport:
    """A `.jsonl` export, its first line read. Raises ExportError, GalleryStorageError."""
    with translated(path):
        file = path.open("rb")
    try:
        return JsonlExport(path, file)
    except BaseException:
        file.close()
        raise


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ExportError(f"{path}, line {number}, is not JSON ({error}): export it again") from None
    if not isinstance(found, dict):
        raise ExportError(f"{path}, line {number}, is no object: export it again")
    return found


def _vector(values: object) -> bytes:
    """Packed, NaN where a number is none or does not fit: such a vector is counted as unusable later."""
    if not isinstance(values, list):
        return b""
    if len(values) != DIMENSIONS:
        return bytes(4 * len(values))
    numbers = [one if type(one) in (int, float) and abs(one) < 1e30 else float("nan") for one in values]
    return _PACK.pack(*numbers)
