"""CSV files: one row a step, one column a channel, read in blocks of a megabyte."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from node.modalities.csv_layout import DELIMITERS, MISSING, CsvLayout, layout_of
from node.modalities.file_door import FileError, reason_of
from node.modalities.npy_array import VALUES_MAX
from node.modalities.series_item import CHANNELS_MAX

LINE_BYTES_MAX: Final = 1 << 16
_LINES_LOOKED_AT: Final = 20
_FIELDS_MAX: Final = 1024
_BLOCK_BYTES: Final = 1 << 20
_EVEN: Final = 1e-6
"""Steps of a column that counts differ by a smaller part of themselves."""
_NULLS: Final = sorted({spelt for word in MISSING for spelt in (word, word.upper(), word.title(), "NaN")})


def read_csv(path: Path, file: BinaryIO, size_bytes: int) -> npt.NDArray[np.float64]:
    """The columns of numbers as float64 [rows, columns], missing values NaN.

    The first column is time, and left out, where `layout_of` says so, and where it rises by the same step
    from row to row. Raises FileError, for columns of anything but numbers too.
    """
    lines = _first_lines(path, file)
    # Before every field is looked at: there may be thousands.
    columns = 1 + max(lines[0].count(delimiter) for delimiter in DELIMITERS)
    if columns > _FIELDS_MAX:
        raise FileError(f"{path} has {columns:,} columns: keep {CHANNELS_MAX} channels at most.")
    try:
        layout = layout_of(lines)
    except csv.Error as error:
        raise FileError(f"{path} is no table ({reason_of(error)}): close its quotation marks.") from error
    if layout.not_numbers:
        name, value = layout.not_numbers[0]
        raise FileError(
            f"{path} has columns that are not numbers: {name[:40]!r} holds {value[:40]!r}; drop such "
            "columns, or give numbers for them."
        )
    channels = range(1 if layout.has_time else 0, len(layout.names))
    values = _rows(path, file, layout, list(channels))
    if not layout.has_time and values.shape[1] > 1 and _counts(values[:, 0]):
        return np.ascontiguousarray(values[:, 1:])
    return values


def _first_lines(path: Path, file: BinaryIO) -> list[str]:
    file.seek(0)
    lines = []
    for number in range(1, _LINES_LOOKED_AT + 1):
        line = file.readline(LINE_BYTES_MAX + 1)
        if len(line) > LINE_BYTES_MAX:
            raise FileError(
                f"{path}, line {number}, has over {LINE_BYTES_MAX:,} bytes: write a row of numbers a line."
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise FileError(f"{path}, line {number}, is not UTF-8: save it as UTF-8.") from error
        if text.strip():
            lines.append(text)
        elif not lines and line:
            raise FileError(f"{path} begins with an empty line: remove it.")
    file.seek(0)
    if not lines:
        raise FileError(f"{path} holds no rows: point to a series.")
    return lines


def _rows(path: Path, file: BinaryIO, layout: CsvLayout, columns: list[int]) -> npt.NDArray[np.float64]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = [str(column) for column in range(len(layout.names))]
    wanted = [names[column] for column in columns]
    batches: list[npt.NDArray[np.float64]] = []
    count = 0
    try:
        with arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK_BYTES,
                column_names=names,
                skip_rows=1 if layout.has_header else 0,
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=layout.delimiter),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.float64()),
                include_columns=wanted,
                null_values=_NULLS,
                decimal_point=layout.decimal_sign,
            ),
        ) as reader:
            for batch in reader:
                count += len(batch) * len(wanted)
                if count > VALUES_MAX:
                    raise FileError(f"{path} has over {VALUES_MAX:,} values: cut it into parts.")
                batches.append(
                    np.column_stack([column.to_numpy(zero_copy_only=False) for column in batch.columns])
                )
    except pa.ArrowException as error:
        raise FileError(
            f"{path} is no table of numbers ({reason_of(error)}): give each line the same columns of numbers."
        ) from error
    return np.concatenate(batches) if batches else np.empty((0, len(wanted)))


def _counts(column: npt.NDArray[np.float64]) -> bool:
    steps = np.diff(column)
    return bool(len(steps) and steps[0] > 0 and (np.abs(steps - steps[0]) <= _EVEN * steps[0]).all())
