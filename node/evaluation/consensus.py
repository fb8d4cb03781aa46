"""The published consensus of a network for labelled items: from a file of `embeddings export` or a store."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.data import LabelledData
from node.evaluation.errors import EvaluationError
from node.space import Space
from node.store import Store
from protocol.report import DIMENSIONS

_VECTOR_BYTES: Final = 4 * DIMENSIONS
_ROWS_AT_ONCE: Final = 2_048
_SPACE_PREFIX: Final = "deltamesh consensus, "
_NEXT_STEP: Final = "write it again with `deltamesh embeddings export`"

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Published:
    """Consensus embeddings of some items, all in one space."""

    space: str
    vectors: Mapping[bytes, Vector]
    """By item id, [1024] each."""

    def of(self, data: LabelledData) -> tuple[LabelledData, NDArray[np.float32]]:
        """The items that were published and their vectors, [n, 1024]. Raises EvaluationError for too few."""
        kept = tuple(item for item in data.items if item.id in self.vectors)
        if not kept:
            raise EvaluationError(
                f"none of the {len(data.items)} items of {data.name} was published: write them to a file "
                "with `deltamesh encoder eval --save-items FILE.jsonl`, and submit that"
            )
        return replace(data, items=kept), np.stack([self.vectors[item.id] for item in kept])


def published_in_store(store: Store, space: Space, ids: Collection[bytes]) -> Published:
    """The newest embedding of each item that has one, in that space. Raises SpaceError, StoreError."""
    found: dict[bytes, Vector] = {}
    for id_ in ids:
        record = store.embedding(id_)
        if record is not None:
            raw = np.frombuffer(record.vector, "<f4").reshape(1, DIMENSIONS)
            found[id_] = space.place(raw, record.space_epoch)[0]
    return Published(space.name, found)


def published_in_file(path: Path, ids: Collection[bytes]) -> Published:
    """The same from an export; of an item that is there twice the later one. Raises EvaluationError."""
    read = _READERS.get(path.suffix)
    if read is None:
        raise EvaluationError(f"{path} is no export of embeddings: it ends in {', '.join(_READERS)}")
    wanted = {id_.hex(): id_ for id_ in ids}
    found: dict[bytes, Vector] = {}
    space = ""
    try:
        for name, named, vector in read(path, wanted):
            found[wanted[name]], space = vector, named
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    except _DamagedError as error:
        raise EvaluationError(f"{path} is not an export of embeddings ({error}): {_NEXT_STEP}") from error
    return Published(space.removeprefix(_SPACE_PREFIX), found)


class _DamagedError(Exception):
    """The file is not what an export is."""


_Found = Iterator[tuple[str, str, Vector]]
"""Item ids in hexadecimal digits, the space as the file names it, vectors."""


def _read_parquet(path: Path, wanted: Collection[str]) -> _Found:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            space = file.schema_arrow.metadata[b"space"].decode()
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=["item_id", "vector"]):
                ids = batch.column(0).to_pylist()
                rows = np.asarray(batch.column(1).flatten(), dtype=np.float32).reshape(len(ids), DIMENSIONS)
                for place, name in enumerate(ids):
                    if name in wanted:
                        yield name, space, rows[place].copy()
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise _DamagedError(str(error)) from error


def _read_safetensors(path: Path, wanted: Collection[str]) -> _Found:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            names, space = json.loads(file.metadata()["item_id"]), file.metadata()["space"]
            vectors = file.get_slice("vectors")
            for place, name in enumerate(names):
                if name in wanted:
                    yield name, space, vectors[place : place + 1][0]
    except (SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
        raise _DamagedError(str(error)) from error


def _read_npz(path: Path, wanted: Collection[str]) -> _Found:
    try:
        # Opened here: np.load leaves its file open when what it holds is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            names, space = arrays["item_id"], json.loads(str(arrays["metadata"]))["space"]
        # A row at a time: the vectors may be more than memory holds.
        with zipfile.ZipFile(path) as archive, archive.open("vectors.npy") as member:
            np.lib.format.read_magic(member)
            shape, _, kind = np.lib.format.read_array_header_2_0(member)
            if shape != (len(names), DIMENSIONS) or kind != np.dtype("<f4"):
                raise _DamagedError(f"vectors {shape} of {kind}")
            for name in names:
                row = member.read(_VECTOR_BYTES)
                if name in wanted:
                    yield str(name), space, np.frombuffer(row, "<f4")
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise _DamagedError(str(error)) from error


_READERS: Final[Mapping[str, Callable[[Path, Collection[str]], _Found]]] = {
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
    ".npz": _read_npz,
}
