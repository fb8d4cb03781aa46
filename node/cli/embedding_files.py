"""The formats embeddings are exported in, each written a part at a time, whole or not at all."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from node.cli.embedding_spool import VECTOR_BYTES, EmbeddingRow, EmbeddingSpool

DIMENSIONS: Final = 1024
PART_ROWS: Final = 2_048
"""Rows held in memory at a time: 8 MiB of vectors."""

Metadata = dict[str, str]
Progressed = Callable[[int], None]
_Writer = Callable[[Path, EmbeddingSpool, Metadata, Progressed], None]


def write_embeddings(path: Path, spool: EmbeddingSpool, metadata: Metadata, on_rows: Progressed) -> None:
    """Write the spooled embeddings to `path` in the format of its suffix. Raises OSError, KeyError."""
    write = WRITERS[path.suffix]
    # Where an export that is killed leaves it, the next one writes over it.
    draft = spool.draft_file
    try:
        write(draft, spool, metadata, on_rows)
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _write_parquet(path: Path, spool: EmbeddingSpool, metadata: Metadata, on_rows: Progressed) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        pa.field("item_id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("round", pa.int64()),
        pa.field("shard", pa.int64()),
        pa.field("position", pa.int64()),
        pa.field("space_epoch", pa.int64()),
        pa.field("vector", pa.list_(pa.float32(), DIMENSIONS)),
    ]
    schema = pa.schema(fields, metadata=metadata)
    # A Python file, so that a full disk is an OSError like any other.
    with path.open("wb") as file, pq.ParquetWriter(file, schema) as writer:
        for rows, vectors in _parts(spool):
            columns = [
                pa.array([getattr(row, field.name) for row in rows], field.type) for field in fields[:-1]
            ]
            values = pa.array(np.frombuffer(vectors, "<f4"))
            columns.append(pa.FixedSizeListArray.from_arrays(values, DIMENSIONS))
            writer.write_batch(pa.record_batch(columns, schema=schema))
            on_rows(len(rows))


def _write_safetensors(path: Path, spool: EmbeddingSpool, metadata: Metadata, on_rows: Progressed) -> None:
    """Header, then tensors, as the format has it: its own library would hold all vectors in memory."""
    count = spool.count
    columns = ("round", "shard", "position", "space_epoch")
    entries: dict[str, Any] = {}
    end = 0
    sizes = {"vectors": ("F32", [count, DIMENSIONS], count * VECTOR_BYTES)}
    sizes |= {name: ("I64", [count], 8 * count) for name in columns}
    for name, (kind, shape, size_bytes) in sizes.items():
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size_bytes]}
        end += size_bytes
    # Tensors have no strings: ids and texts are JSON lists in the metadata.
    texts = {name: json.dumps([getattr(row, name) for row in spool.rows()]) for name in ("item_id", "text")}
    header = json.dumps({"__metadata__": metadata | texts, **entries}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for part in spool.vectors(PART_ROWS):
            file.write(part)
            on_rows(len(part) // VECTOR_BYTES)
        for name in columns:
            for rows in _batched(spool.rows()):
                file.write(b"".join(getattr(row, name).to_bytes(8, "little", signed=True) for row in rows))


def _write_npz(path: Path, spool: EmbeddingSpool, metadata: Metadata, on_rows: Progressed) -> None:
    import numpy as np

    ids = np.array([row.item_id for row in spool.rows()], dtype="U64")
    texts = np.array([row.text or "" for row in spool.rows()], dtype=np.str_)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("vectors.npy", "w", force_zip64=True) as member:
            _npy_header(member, "<f4", (spool.count, DIMENSIONS))
            for part in spool.vectors(PART_ROWS):
                member.write(part)
                on_rows(len(part) // VECTOR_BYTES)
        arrays = {
            name: np.array([getattr(row, name) for row in spool.rows()], dtype="<i8")
            for name in ("round", "shard", "position", "space_epoch")
        }
        metadata_array = np.array(json.dumps(metadata))
        for name, array in {"item_id": ids, "text": texts, "metadata": metadata_array, **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_jsonl(path: Path, spool: EmbeddingSpool, metadata: Metadata, on_rows: Progressed) -> None:
    """First a line of metadata, then an object a row; floats as short as they read back the same."""
    import numpy as np

    with path.open("w", encoding="ascii") as file:
        file.write(json.dumps(metadata) + "\n")
        for rows, data in _parts(spool):
            vectors = np.frombuffer(data, "<f4").reshape(len(rows), DIMENSIONS)
            for row, vector in zip(rows, vectors, strict=True):
                facts = json.dumps({name: getattr(row, name) for name in row.__slots__})
                numbers = ",".join(map(np.format_float_positional, vector))
                file.write(f'{facts[:-1]}, "vector": [{numbers}]}}\n')
            on_rows(len(rows))


def _npy_header(file: IO[bytes], kind: str, shape: tuple[int, int]) -> None:
    import numpy as np

    np.lib.format.write_array_header_2_0(file, {"descr": kind, "fortran_order": False, "shape": shape})


def _parts(spool: EmbeddingSpool) -> Iterator[tuple[list[EmbeddingRow], bytes]]:
    return zip(_batched(spool.rows()), spool.vectors(PART_ROWS), strict=True)


def _batched(rows: Iterable[EmbeddingRow]) -> Iterator[list[EmbeddingRow]]:
    source = iter(rows)
    while part := list(islice(source, PART_ROWS)):
        yield part


WRITERS: Final[dict[str, _Writer]] = {
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
    ".npz": _write_npz,
    ".jsonl": _write_jsonl,
}
