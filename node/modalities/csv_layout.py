"""How a CSV file is laid out, told by its first lines: delimiter, header, decimal sign, time column."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import Final

MISSING: Final = ("", "na", "n/a", "nan", "null", "none", "-", "?")
"""Values that stand for none, in lower case."""
TIME_NAMES: Final = frozenset(
    {"", "date", "datetime", "index", "t", "time", "timestamp", "ts", "unnamed: 0", "zeit"}
)
"""Names of a first column that holds time, in lower case, without a unit after a bracket or underscore."""
DELIMITERS: Final = (",", ";", "\t", "|", " ")
_NUMBER: Final = re.compile(
    r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:e[-+]?\d+)?|[-+]?inf(?:inity)?", re.IGNORECASE
)
_COMMA_NUMBER: Final = re.compile(r"[-+]?\d*,\d+(?:e[-+]?\d+)?", re.IGNORECASE)
_TIME: Final = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ].*)?"  # 2020-12-31, 2020-12-31T23:59:59Z
    r"|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?: .*)?"  # 31/12/2020
    r"|\d{1,2}:\d{2}(?::\d{2}.*)?"  # 23:59, 23:59:59.9
)
_UNIT: Final = re.compile(r"[\[(_ ].*$")


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """What a reader has to know of a file before its rows."""

    delimiter: str
    names: tuple[str, ...]
    """Of every column; their numbers from 1 where there is no header."""
    has_header: bool
    has_time: bool
    """Whether the first column is time by its name or its values."""
    decimal_sign: str
    not_numbers: tuple[tuple[str, str], ...]
    """Columns that hold something else, each with such a value."""


def layout_of(lines: list[str]) -> CsvLayout:
    """The layout of a file that begins with these lines; there is at least one.

    The delimiter is the first of comma, semicolon, tab, bar and space that cuts all lines into the same
    number of fields, more than one; without any, a line is one field. The first line is a header where it has
    a field that is no number, no time and not missing.
    """
    # numpy.savetxt writes its header as a comment.
    lines = [lines[0].removeprefix("#").lstrip(" "), *lines[1:]]
    delimiter, rows = _split(lines)
    decimal_sign = "," if delimiter != "," and _has_comma_numbers(rows) else "."
    has_header = any(not (_is_number(field) or _is_missing(field) or _is_time(field)) for field in rows[0])
    width = len(rows[0])
    names = tuple(rows[0]) if has_header else tuple(str(column + 1) for column in range(width))
    body = rows[1:] if has_header else rows
    first = [row[0] for row in body if row and not _is_missing(row[0])]
    has_time = width > 1 and (
        (has_header and _UNIT.sub("", names[0].lower()) in TIME_NAMES)
        or (bool(first) and all(map(_is_time, first)))
    )
    not_numbers = []
    for column in range(1 if has_time else 0, width):
        others = (
            row[column]
            for row in body
            if column < len(row) and not (_is_number(row[column]) or _is_missing(row[column]))
        )
        if (other := next(others, None)) is not None:
            not_numbers.append((names[column], other))
    return CsvLayout(delimiter, names, has_header, has_time, decimal_sign, tuple(not_numbers))


def _split(lines: list[str]) -> tuple[str, list[list[str]]]:
    for delimiter in DELIMITERS:
        rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=delimiter) if row]
        if rows and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
            return delimiter, rows
    return ",", [[field.strip() for field in row] for row in csv.reader(lines)]


def _has_comma_numbers(rows: list[list[str]]) -> bool:
    fields = [field for row in rows for field in row]
    return any(map(_COMMA_NUMBER.fullmatch, fields)) and not any(
        "." in field and _is_number(field) for field in fields
    )


def _is_number(field: str) -> bool:
    return _NUMBER.fullmatch(field) is not None


def _is_missing(field: str) -> bool:
    return field.lower() in MISSING


def _is_time(field: str) -> bool:
    return _TIME.fullmatch(field) is not None
