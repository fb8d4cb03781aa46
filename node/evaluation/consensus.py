"""The published consensus of a network for labelled items: from a file of `embeddings export` or a store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.evaluation.data import LabelledData
from node.evaluation.errors import EvaluationError
from node.gallery.from_export import OPENERS
from node.space import RAW, Space
from node.store import Store
from protocol.report import DIMENSIONS

_ROWS_AT_ONCE: Final = 2_048

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
    """The same from an export; of an item that is there twice the later one.

    Raises EvaluationError for a file that is none, ExportError and GalleryStorageError for one that cannot be
    read.
    """
    open_export = OPENERS.get(path.suffix.lower())
    if open_export is None or not path.is_file():
        raise EvaluationError(
            f"{path} is no export of embeddings: write one with `deltamesh embeddings export --to "
            f"{path.stem}.parquet`, or as {', '.join(OPENERS)}"
        )
    wanted = frozenset(ids)
    found: dict[bytes, Vector] = {}
    with open_export(path) as file:
        for part in file.parts(0, _ROWS_AT_ONCE):
            for row in part:
                if row.item_id in wanted:
                    found[row.item_id] = np.frombuffer(row.vector, "<f4")
        space = RAW if file.space is None else f"epoch {file.space}"
    return Published(space, found)
