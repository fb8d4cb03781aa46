"""A user's own labelled data: rows with a text and a label, or a folder that has a folder for each class."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from node.corpus import SOURCE_BYTES_MAX, CorpusError, load_corpus
from node.evaluation.data import LabelledData, LabelledItem
from node.evaluation.errors import EvaluationError
from node.modalities import FileError, items_of_file
from protocol.items import ItemError, canonical_text

ROWS_MAX: Final = 100_000
_COLUMNS: Final = ("text", "label")
_NEXT_STEP: Final = 'each row has a text and a label, such as {"text": "...", "label": "sport"}'

_Record = Mapping[str, Any]


def load_rows(path: Path) -> LabelledData:
    """Labelled texts of a .jsonl, .csv or .parquet with columns text and label; group and caption if there.

    Texts that repeat are taken once. Raises EvaluationError that says which row is wrong.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise EvaluationError(
            f"{path} is not labelled data: give {', '.join(_READERS)}, or a folder with a folder a class"
        )
    items: dict[str, LabelledItem] = {}
    try:
        if path.stat().st_size > SOURCE_BYTES_MAX:
            raise EvaluationError(
                f"{path} is larger than {SOURCE_BYTES_MAX >> 20} MiB: point to a part of it"
            )
        for number, record in enumerate(read(path), start=1):
            if number > ROWS_MAX:
                raise EvaluationError(f"{path} has more than {ROWS_MAX:,} rows: point to a part of it")
            item = _item(record, path, number)
            items.setdefault(str(item.view), item)
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    return LabelledData(str(path), "text", tuple(items.values()))


def load_text_folders(folder: Path) -> LabelledData:
    """Text files in a folder a class, cut into items as a validator's corpus is; a file is a group.

    Raises EvaluationError.
    """
    items: dict[str, LabelledItem] = {}
    for path, label in class_files(folder):
        try:
            texts = load_corpus(path)
        except CorpusError as error:
            raise EvaluationError(str(error)) from error
        for text in texts:
            items.setdefault(text, LabelledItem(text, label, str(path.relative_to(folder))))
    return LabelledData(str(folder), "text", tuple(items.values()))


def load_folders(folder: Path, modality: str) -> LabelledData:
    """Files of any other modality in a folder a class, cut into items; a file is a group.

    Raises EvaluationError, also for a file that is not of the modality.
    """
    items: dict[bytes, LabelledItem] = {}
    size_bytes = 0
    for path, label in class_files(folder):
        try:
            found = items_of_file(modality, path)
        except FileError as error:
            raise EvaluationError(str(error)) from error
        size_bytes += sum(map(len, found))
        if size_bytes > SOURCE_BYTES_MAX:
            raise EvaluationError(
                f"{folder} holds more than {SOURCE_BYTES_MAX >> 20} MiB of items: point to a part of it"
            )
        for data in found:
            items.setdefault(data, LabelledItem(data, label, str(path.relative_to(folder))))
    return LabelledData(str(folder), modality, tuple(items.values()))


def class_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file of the class folders of a folder, and the class, in order; hidden ones are passed over."""
    try:
        classes = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
        for one in classes:
            inside = sorted(path for path in one.rglob("*") if path.is_file())
            yield from ((path, one.name) for path in inside if not path.name.startswith("."))
    except OSError as error:
        where = error.filename or folder
        raise EvaluationError(
            f"{where} cannot be read ({error.strerror or error}): check the path"
        ) from error
    if len(classes) < 2:
        raise EvaluationError(f"{folder} has {len(classes)} folders: make one for each class, two or more")


def write_rows(path: Path, data: LabelledData) -> None:
    """Write labelled texts as .jsonl that `load_rows` and `deltamesh submit` take. Raises EvaluationError."""
    if data.modality != "text":
        raise EvaluationError(f"items of modality {data.modality} are no text: only text is written as rows")
    with path.open("w", encoding="utf-8") as file:
        for item in data.items:
            record = {"text": item.view, "label": item.label, "group": item.group}
            record |= {"caption": item.caption} if item.caption is not None else {}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _item(record: _Record, path: Path, number: int) -> LabelledItem:
    missing = [name for name in _COLUMNS if record.get(name) in (None, "")]
    if missing:
        raise EvaluationError(f"{path}, row {number}, has no {' and no '.join(missing)}: {_NEXT_STEP}")
    caption = record.get("caption")
    try:
        text = canonical_text(str(record["text"])).decode()
        about = None if caption in (None, "") else canonical_text(str(caption)).decode()
    except ItemError as error:
        raise EvaluationError(f"{path}, row {number}: {error}") from error
    return LabelledItem(text, str(record["label"]), str(record.get("group") or f"row {number}"), about)


def _read_jsonl(path: Path) -> Iterator[_Record]:
    # Split on line feeds alone: JSON strings may hold the other characters that str.splitlines cuts at.
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise EvaluationError(
                f"{path}, line {number}, is not JSON ({error}): write an object a line"
            ) from error
        if not isinstance(record, dict):
            raise EvaluationError(f"{path}, line {number}, is no object: {_NEXT_STEP}")
        yield record


def _read_csv(path: Path) -> Iterable[_Record]:
    reader = csv.DictReader(io.StringIO(_decoded(path), newline=""), strict=True)
    try:
        _check_columns(reader.fieldnames or [], path)
        yield from reader
    except csv.Error as error:
        raise EvaluationError(
            f"{path}, line {reader.line_num}, is not CSV ({error}): write it again"
        ) from error


def _read_parquet(path: Path) -> Iterator[_Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, path)
            wanted = [name for name in file.schema_arrow.names if name in (*_COLUMNS, "group", "caption")]
            for batch in file.iter_batches(columns=wanted):
                yield from batch.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} is not a sound Parquet file ({error}): write it again") from error


def _check_columns(names: Iterable[str], path: Path) -> None:
    known = list(names)
    if not set(_COLUMNS) <= set(known):
        raise EvaluationError(f"{path} has columns {', '.join(known) or 'none'}: it takes text and label")


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error


_READERS: Final[dict[str, Callable[[Path], Iterable[_Record]]]] = {
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
