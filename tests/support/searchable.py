"""Stores whose certified items have vectors worth searching, and the search over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from node.encoders.encoder import View
from node.search_process.desk import SearchDesk
from node.search_process.wire import Drawn, Find, Follow, Followed, Found, Projection, SearchSetup
from node.store import EmbeddingRecord, Store
from protocol.codec import encode
from protocol.items import item_id
from protocol.rounds import effects as fx
from protocol.rounds.effects import Purpose
from tests.support.certified_history import History, open_store, record
from tests.support.galleries import drawn

Vector = npt.NDArray[np.float32]


def ids_of(fact: fx.RoundCertified) -> list[bytes]:
    """The ids of a round's items, in batch order."""
    return [item_id(one) for one in fact.items]


def certified_vectors(history: History) -> dict[bytes, Vector]:
    """A vector for every item of a history, drawn from a seed."""
    ids = [name for fact in history.facts for name in ids_of(fact)]
    return dict(zip(ids, drawn(len(ids), seed=3), strict=True))


def give_vectors(store: Store, history: History) -> None:
    """Items of plain histories have zeros for vectors: give them theirs, and the reports their bodies."""
    vectors = certified_vectors(history)
    store.record_embeddings(
        [replace(one, vector=vectors[one.item_id].tobytes()) for one in list(store.embeddings())]
    )
    for round_ in {round_ for round_, _ in store.embedding_rounds()}:
        for fact in history.of_round(round_):
            store.put_blob(encode(fact.body), round_, Purpose.REPORT)


class _VectoredStore:
    """A store whose items have their vectors as soon as they are recorded."""

    def __init__(self, store: Store, vectors: dict[bytes, Vector]) -> None:
        self._store = store
        self._vectors = vectors

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def record_embeddings(self, records: Iterable[EmbeddingRecord]) -> None:
        given = [replace(one, vector=self._vectors[one.item_id].tobytes()) for one in records]
        self._store.record_embeddings(given)


class _WatchedStore:
    """A store that calls back once embeddings are recorded, and before their round is certified."""

    def __init__(self, store: Store, recorded: Callable[[], object]) -> None:
        self._store = store
        self._recorded = recorded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def record_embeddings(self, records: Iterable[EmbeddingRecord]) -> None:
        self._store.record_embeddings(records)
        self._recorded()


def watched(store: Store, recorded: Callable[[], object]) -> Store:
    """The store, which calls back whenever embeddings have been recorded."""
    return cast(Store, _WatchedStore(store, recorded))


def record_with_vectors(store: Store, history: History, fact: fx.RoundCertified) -> None:
    """Record a certified round with its vectors at once, for who waits for it in another thread."""
    store.put_blob(encode(fact.body), fact.at.round, Purpose.REPORT)
    record(cast(Store, _VectoredStore(store, certified_vectors(history))), history, fact)


class HashModel:
    """A vector for every text, and how often it was asked for how many."""

    name = "hash"

    def __init__(self) -> None:
        self.asked: list[int] = []

    def encode(self, views: Sequence[View]) -> Vector:
        self.asked.append(len(views))
        seeds = [blake3(view.encode() if isinstance(view, str) else view).digest() for view in views]
        rows = [np.random.default_rng(list(seed)).normal(size=1024) for seed in seeds]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


class Searchable:
    """A store that is filled round by round, and a desk that searches it."""

    def __init__(self, root: Path, history: History, items_max: int = 1_000) -> None:
        self.history = history
        self.vectors = certified_vectors(history)
        self.store = open_store(root)
        self.model = HashModel()
        self.path = root / "search.sqlite"
        self.setup = SearchSetup(
            store=str(root / "store.sqlite"),
            blobs=str(root / "blobs"),
            gallery=str(self.path),
            genesis=history.genesis.data,
            alignment=str(root / "alignment"),
            items_max=items_max,
        )
        self.desk = self.opened()

    def opened(self) -> SearchDesk:
        """A desk of its own, as after a restart."""
        return SearchDesk(self.setup, lambda: self.model)

    def certify(self, round_: int) -> None:
        """Write a round down, as the node does."""
        record(self.store, self.history, *self.history.of_round(round_))
        give_vectors(self.store, self.history)

    def items_of(self, round_: int) -> list[bytes]:
        """Ids of a round's items."""
        return [name for fact in self.history.of_round(round_) for name in ids_of(fact)]

    def follow(self, within_s: float = 60.0) -> Followed:
        """Take in what is certified."""
        response = self.desk.answer(Follow(within_s))
        assert response.followed is not None, response
        return response.followed

    def find(self, asked: Find) -> Found:
        """What is found."""
        response = self.desk.answer(asked)
        assert response.found is not None, response
        return response.found

    def draw(self, asked: Projection) -> Drawn:
        """What is drawn."""
        response = self.desk.answer(asked)
        assert response.drawn is not None, response
        return response.drawn


@contextmanager
def searchable(root: Path, history: History, items_max: int = 1_000) -> Iterator[Searchable]:
    """A desk over an empty store, closed with the block."""
    here = Searchable(root, history, items_max)
    try:
        yield here
    finally:
        here.desk.close()
        here.store.close()
