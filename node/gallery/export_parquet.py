"""Exports as Parquet: only the columns of an export, and only where what they unpack to is within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from node.gallery.errors import ExportError, translated
from node.gallery.export_rows import ExportedRow, checked_row, head_of
from node.gallery.limits import DIMENSIONS, EXPORT_ROWS_MAX, TEXT_BYTES_MAX
from node.modalities.parquet_pages import PageError, check_pages

NUMBERS: Final = ("round", "shard", "space_epoch")
COLUMNS: Final = ("item_id", "text", *NUMBERS, "vector")
FOOTER_BYTES_MAX: Final = 16 << 20
GROUP_ROWS_MAX: Final = 1 << 16
"""A row group may have to be unpacked whole: 256 MiB of vectors."""
_SLACK_BYTES: Final = 1 << 20


class ParquetExport:
    """A `.parquet` export. Other columns than an export's are never unpacked."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path, self._file = path, file
        size_bytes = path.stat().st_size
        _check_footer(path, file, size_bytes)
        try:
            self._table = pq.ParquetFile(
                file,
                thrift_string_size_limit=FOOTER_BYTES_MAX,
                thrift_container_size_limit=FOOTER_BYTES_MAX,
                pre_buffer=False,
                # A text said a million times is held once.
                read_dictionary=["item_id", "text"],
            )
            metadata = self._table.schema_arrow.metadata or {}
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise _unsound(path, error) from None
        self._head = head_of(path, {key.decode("latin-1"): _text(value) for key, value in metadata.items()})
        self.network_id = self._head.network_id
        self.space = self._head.space
        self.modality = self._head.modality
        self.rows: int | None = int(self._table.metadata.num_rows)
        try:
            self._check_schema()
            self._check_sizes(size_bytes)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise _unsound(path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.close()
        self._file.close()

    def parts(self, start: int, rows_max: int) -> Iterator[list[ExportedRow]]:
        """Its rows from number `start` on. Raises ExportError."""
        import pyarrow as pa

        try:
            first = 0
            for group in range(self._table.num_row_groups):
                count = self._table.metadata.row_group(group).num_rows
                if first + count > start:
                    batches = self._table.iter_batches(
                        batch_size=rows_max, row_groups=[group], columns=list(COLUMNS), use_threads=False
                    )
                    place = first
                    for batch in batches:
                        rows = self._rows(batch, place)
                        place += len(rows)
                        if rows[max(0, start - place + len(rows)) :]:
                            yield rows[max(0, start - place + len(rows)) :]
                first += count
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise _unsound(self._path, error) from None

    def _rows(self, batch: Any, first: int) -> list[ExportedRow]:
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in ("item_id", "text"):
            values = columns[name]
            held = values.dictionary if pa.types.is_dictionary(values.type) else values
            longest = pc.max(pc.binary_length(held)).as_py() or 0
            if longest > TEXT_BYTES_MAX:
                raise ExportError(f"{self._path}: a {name} of {longest:,} bytes is longer than any item's")
        items, texts = columns["item_id"].to_pylist(), columns["text"].to_pylist()
        numbers = {name: columns[name].to_pylist() for name in NUMBERS}
        vectors = self._vectors(columns["vector"], first)
        return [
            checked_row(
                f"{self._path}, row {first + place + 1}",
                self._head,
                items[place],
                texts[place],
                {name: numbers[name][place] for name in NUMBERS},
                vectors[place * 4 * DIMENSIONS : (place + 1) * 4 * DIMENSIONS],
            )
            for place in range(len(batch))
        ]

    def _vectors(self, column: Any, first: int) -> bytes:
        import pyarrow.compute as pc

        lengths = pc.list_value_length(column)
        if column.null_count or (
            len(column)
            and pc.min_max(lengths).as_py()
            != {
                "min": DIMENSIONS,
                "max": DIMENSIONS,
            }
        ):
            raise ExportError(
                f"{self._path}, from row {first + 1} on: a vector has not {DIMENSIONS:,} numbers: export "
                "it again"
            )
        values = column.flatten()
        # A missing number is NaN: its vector is counted as unusable later.
        data: bytes = values.to_numpy(zero_copy_only=False).astype("<f4").tobytes()
        return data

    def _check_schema(self) -> None:
        import pyarrow as pa

        schema = self._table.schema_arrow
        missing = [name for name in COLUMNS if schema.names.count(name) != 1]
        if missing:
            raise ExportError(f"{self._path} has not one column {' and one '.join(missing)}: it is no export")
        kind = schema.field("vector").type
        lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not lists or not pa.types.is_float32(kind.value_type):
            raise ExportError(f"{self._path}: its vectors are {kind}, not lists of float: export it again")
        for name in NUMBERS:
            if not pa.types.is_integer(schema.field(name).type):
                raise ExportError(f"{self._path}: its {name} is {schema.field(name).type}, not whole numbers")
        for name in ("item_id", "text"):
            found = schema.field(name).type
            found = found.value_type if pa.types.is_dictionary(found) else found
            if not (pa.types.is_string(found) or pa.types.is_large_string(found)):
                raise ExportError(f"{self._path}: its {name} is {found}, not text")

    def _check_sizes(self, size_bytes: int) -> None:
        """Refuse columns that unpack to more than an export of so many rows can have."""
        metadata = self._table.metadata
        if metadata.num_rows > EXPORT_ROWS_MAX:
            raise ExportError(
                f"{self._path} says that it has {metadata.num_rows:,} rows, {EXPORT_ROWS_MAX:,} are read "
                "at most"
            )
        for group in range(metadata.num_row_groups):
            part = metadata.row_group(group)
            if part.num_rows > GROUP_ROWS_MAX:
                raise ExportError(
                    f"{self._path} has a row group of {part.num_rows:,} rows, {GROUP_ROWS_MAX:,} are read "
                    "at once at "
                    f"most: write it again with row groups of {GROUP_ROWS_MAX:,}"
                )
            for index in range(part.num_columns):
                column = part.column(index)
                # By its place in the schema, as the reader finds it: a chunk's own path may be a lie.
                name = self._table.schema.column(index).path.partition(".")[0]
                if name in COLUMNS:
                    self._check_column(column, name, part.num_rows, size_bytes)
        self._file.seek(0)

    def _check_column(self, column: Any, name: str, rows: int, size_bytes: int) -> None:
        each = {"vector": 4 * DIMENSIONS, "text": TEXT_BYTES_MAX, "item_id": 128}.get(name, 16)
        values_max = rows * (DIMENSIONS if name == "vector" else 1)
        start = column.data_page_offset
        if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
            start = column.dictionary_page_offset
        try:
            if not 0 <= start <= start + column.total_compressed_size <= size_bytes:
                raise PageError("a column ends beyond the file")
            found = check_pages(self._file, start, column.total_compressed_size, max(1, values_max))
        except PageError as error:
            raise ExportError(
                f"{self._path}, column {name}, has absurd sizes ({error}): export it again"
            ) from None
        if found.uncompressed_bytes > 2 * rows * each + _SLACK_BYTES or found.values > values_max:
            raise ExportError(
                f"{self._path}, column {name}, unpacks to {found.uncompressed_bytes:,} bytes and "
                f"{found.values:,} "
                f"values for {rows:,} rows: no export does"
            )


def open_parquet(path: Path) -> ParquetExport:
    """A `.parquet` export, its sizes checked. Raises ExportError, GalleryStorageError."""
    with translated(path):
        file = path.open("rb")
    try:
        return ParquetExport(path, file)
    except BaseException:
        file.close()
        raise


def _check_footer(path: Path, file: BinaryIO, size_bytes: int) -> None:
    file.seek(max(0, size_bytes - 8))
    end = file.read(8)
    footer_bytes = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or footer_bytes > min(FOOTER_BYTES_MAX, size_bytes):
        raise ExportError(f"{path} is no Parquet file, or is cut off: export it again")
    file.seek(0)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _unsound(path: Path, error: Exception) -> ExportError:
    return ExportError(f"{path} is not a sound Parquet file ({str(error)[:200]}): export it again")
