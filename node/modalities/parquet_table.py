"""Parquet files: columns of numbers, read only where what the file says of its sizes is within bounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from node.modalities.file_door import FileError, reason_of
from node.modalities.npy_array import VALUES_MAX
from node.modalities.parquet_pages import PageError, check_pages

if TYPE_CHECKING:
    import pyarrow.parquet as pq

FOOTER_BYTES_MAX: Final = 1 << 20
"""A thousand columns and row groups fit."""
_BATCH_ROWS: Final = 1 << 16
_END: Final = b"PAR1"
_END_BYTES: Final = 8


def read_parquet(path: Path, file: BinaryIO, size_bytes: int) -> npt.NDArray[np.float64]:
    """The columns of numbers as float64 [rows, columns], missing values NaN; dates are taken for time.

    Raises FileError, for columns of anything else too.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_footer(path, file, size_bytes)
    try:
        with pq.ParquetFile(
            file,
            thrift_string_size_limit=FOOTER_BYTES_MAX,
            thrift_container_size_limit=FOOTER_BYTES_MAX,
            pre_buffer=False,
        ) as table:
            channels = _channels(path, table)
            rows = table.metadata.num_rows
            if rows * len(channels) > VALUES_MAX:
                raise FileError(
                    f"{path} says that it has {rows:,} rows of {len(channels)} channels, {VALUES_MAX:,} "
                    "values are read at most: cut it into parts."
                )
            _check_columns(file, size_bytes, table, channels)
            values = np.full((rows, len(channels)), np.nan)
            done = 0
            names = [table.schema_arrow.names[channel] for channel in channels]
            for batch in table.iter_batches(batch_size=_BATCH_ROWS, columns=names, use_threads=False):
                for place, column in enumerate(batch.columns):
                    numbers = column.cast(pa.float64(), safe=False)
                    values[done : done + len(batch), place] = numbers.to_numpy(zero_copy_only=False)
                done += len(batch)
    except PageError as error:
        raise FileError(
            f"{path} is a Parquet file of absurd sizes ({reason_of(error)}): write it again."
        ) from error
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise FileError(
            f"{path} is not a sound Parquet file ({reason_of(error)}): write it again."
        ) from error
    if done != rows:
        raise FileError(f"{path} ends after {done:,} of {rows:,} rows: write it again.")
    return values


def _check_footer(path: Path, file: BinaryIO, size_bytes: int) -> None:
    file.seek(max(0, size_bytes - _END_BYTES))
    end = file.read(_END_BYTES)
    if end[4:] != _END:
        raise FileError(f"{path} is a Parquet file without its end: save or copy it again.")
    footer_bytes = int.from_bytes(end[:4], "little")
    if footer_bytes > min(FOOTER_BYTES_MAX, size_bytes):
        raise FileError(
            f"{path} says that it has {footer_bytes:,} bytes of footer, {FOOTER_BYTES_MAX:,} are read at "
            "most: write it again."
        )
    file.seek(0)


def _channels(path: Path, table: pq.ParquetFile) -> list[int]:
    """Which columns are channels. Raises FileError where one is neither numbers nor time."""
    import pyarrow as pa

    schema = table.schema_arrow
    if len(table.schema) != len(schema.names) or len(set(schema.names)) != len(schema.names):
        raise FileError(f"{path} has nested columns or two of one name: keep one plain column a channel.")
    channels, refused = [], []
    for index, field in enumerate(schema):
        if any(test(field.type) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)):
            channels.append(index)
        elif not pa.types.is_temporal(field.type):
            refused.append(f"{field.name} ({field.type})")
    if refused:
        raise FileError(f"{path} has columns that are not numbers, {', '.join(refused[:3])}: drop them.")
    if not channels:
        raise FileError(f"{path} has no column of numbers: point to a series.")
    return channels


def _check_columns(file: BinaryIO, size_bytes: int, table: pq.ParquetFile, channels: list[int]) -> None:
    for group in range(table.metadata.num_row_groups):
        for channel in channels:
            column = table.metadata.row_group(group).column(channel)
            start = column.data_page_offset
            if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
                start = column.dictionary_page_offset
            if not 0 <= start <= start + column.total_compressed_size <= size_bytes:
                raise PageError(f"column {channel} ends beyond the file")
            check_pages(file, start, column.total_compressed_size, VALUES_MAX)
    file.seek(0)
