"""Spaces that embeddings are asked for in, kept open: preparing one takes about a second of computing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

import numpy as np

from node.api.errors import ApiError
from node.space import NEWEST, RAW, Space, SpaceError, open_space, space_number
from node.store import EmbeddingRecord, Store
from protocol.genesis import Genesis

SPACES_KEPT: Final = 4
"""Each holds a transform of 8 MiB."""
PLACED_KEPT: Final = 2_048
"""Vectors of 4 KiB: placing one in a shaped space reads a matrix of 8 MiB."""


class Spaces:
    """Opens spaces by name and remembers the last. Thread-safe."""

    def __init__(self, genesis: Genesis, store: Store) -> None:
        self._genesis = genesis
        self._store = store
        self._opened: OrderedDict[str, Space] = OrderedDict()
        self._placed: OrderedDict[tuple[str, bytes, int, int], bytes] = OrderedDict()
        # One transform is prepared at a time: who asks meanwhile wants the same one nearly always.
        self._opening = threading.Lock()
        self._placing = threading.Lock()

    def open(self, wanted: str) -> Space:
        """The space `raw`, `newest`, or that of an epoch by its number. Raises ApiError, StoreError."""
        try:
            number = space_number(wanted)
        except SpaceError as error:
            raise ApiError(400, str(error), param="space", code="invalid_space") from None
        name = str(self._store.newest_epoch() if number == NEWEST else number)
        with self._opening:
            found = self._opened.get(name)
            if found is None:
                try:
                    found = open_space(self._genesis, self._store, name)
                except SpaceError as error:
                    raise ApiError(404, str(error), param="space", code="unknown_space") from None
                self._opened[name] = found
            self._opened.move_to_end(name)
            while len(self._opened) > SPACES_KEPT:
                self._opened.popitem(last=False)
            return found

    def place(self, record: EmbeddingRecord, space: Space) -> bytes:
        """A stored embedding in a space: little-endian float32 [1024]. Raises ApiError, StoreError."""
        if space.name == RAW:
            return record.vector
        key = (space.name, record.item_id, record.round, record.shard)
        with self._placing:
            found = self._placed.get(key)
            if found is not None:
                self._placed.move_to_end(key)
                return found
        raw = np.frombuffer(record.vector, "<f4")[None]
        try:
            placed: bytes = space.place(raw, record.space_epoch)[0].astype("<f4").tobytes()
        except SpaceError as error:
            raise ApiError(404, str(error), param="space", code="unknown_space") from None
        with self._placing:
            self._placed[key] = placed
            while len(self._placed) > PLACED_KEPT:
                self._placed.popitem(last=False)
        return placed
