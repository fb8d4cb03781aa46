"""The search's own gallery: follows the store round by round, newest first, up to a number of items."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from node.gallery import Gallery, GalleryStorageError, Selection
from node.gallery.cache import Cache
from node.gallery.errors import DamagedGalleryError
from node.gallery.from_store import StoreSpaces, add_from_store, round_name
from node.search_process.wire import Followed
from node.store import Store
from protocol.genesis import Genesis

COLLECTION: Final = "network"
KEPT_WHEN_FULL: Final = 0.9
"""Share of the bound that stays when it is passed: old rounds leave by the dozen, not one at a time."""
FILES: Final = ("", "-wal", "-shm", "-journal")
"""What SQLite keeps beside the name of a database."""

Rounds = Sequence[tuple[int, int]]
"""(round, how many embeddings it has), ascending."""


class Following:
    """A gallery that holds the embeddings of the newest certified rounds, and nothing that the store lacks.

    So a file that is damaged, or of another network, is dropped and filled anew.
    """

    def __init__(self, store: Store, genesis: Genesis, path: Path, items_max: int) -> None:
        """Open the file or make it. Raises GalleryStorageError."""
        self._store = store
        self._genesis = genesis
        self._path = path
        self._items_max = items_max
        self._floor = 0
        self._tried: set[str] = set()
        """Rounds that could not be taken in whole; tried again when another round is there."""
        self._seen: Rounds = ()
        self.spaces = StoreSpaces(genesis, store)
        self.cache = Cache(path)
        self.gallery = self._opened()

    def close(self) -> None:
        """Close the gallery."""
        self.cache.close()
        self.gallery.close()

    def begin_anew(self) -> None:
        """Drop the files: all that is in them follows from the store. Raises GalleryStorageError."""
        self.close()
        self.cache = Cache(self._path)
        self.gallery = self._made_anew()
        self._tried.clear()

    def follow(self, within_s: float) -> Followed:
        """Take in rounds that are not here yet, newest first, one at least, for about so long.

        Raises StoreError, GalleryStorageError.
        """
        until_s, added = monotonic() + within_s, 0
        rounds = self._store.embedding_rounds(self._floor)
        if rounds != self._seen:
            self._seen = rounds
            self._tried.clear()
        self._floor = max(self._floor, floor_of(rounds, self._items_max))
        taken = self.gallery.taken_names(COLLECTION)
        names = {round_: round_name(round_, count) for round_, count in rounds if round_ >= self._floor}
        left = [round_ for round_ in sorted(names) if names[round_] not in taken | self._tried]
        while left:
            round_ = left.pop()
            self._tried.add(names[round_])
            added += self._take_in(round_)
            if monotonic() > until_s:
                break
        items = self._bounded(rounds)
        return Followed(items=items, added=added, left=len(left))

    def knows(self, item_id: bytes) -> bool:
        """Whether an item can be found; one certified a moment ago is taken in first, with its round.

        Raises StoreError, GalleryStorageError.
        """
        if self.gallery.item(item_id) is not None:
            return True
        stored = self._store.embedding(item_id)
        if stored is None or stored.round < self._floor:
            return False
        self._take_in(stored.round)
        return self.gallery.item(item_id) is not None

    def _take_in(self, round_: int) -> int:
        done = add_from_store(
            self.gallery, COLLECTION, self._store, self._genesis, from_round=round_, to_round=round_ + 1
        )
        return done.new + done.replaced

    def _bounded(self, rounds: Rounds) -> int:
        """Drop the oldest rounds where there are too many items; how many items stay."""
        items = self._count()
        if items <= self._items_max:
            return items
        self._floor = max(self._floor, floor_of(rounds, int(KEPT_WHEN_FULL * self._items_max)))
        taken = self.gallery.taken_names(COLLECTION)
        self.gallery.remove(Selection(to_round=self._floor))
        # Removing forgets what was added: without this, all that stays would be read again.
        for round_, count in rounds:
            if round_ >= self._floor and round_name(round_, count) in taken:
                self.gallery.take_whole(COLLECTION, round_name(round_, count), count)
        return self._count()

    def _count(self) -> int:
        return sum(one.items for one in self.gallery.collections())

    def _opened(self) -> Gallery:
        try:
            gallery = Gallery.open(self._path, create=True)
        except DamagedGalleryError:
            return self._made_anew()
        try:
            return self._checked(gallery)
        except DamagedGalleryError:
            gallery.close()
            return self._made_anew()
        except GalleryStorageError:
            gallery.close()
            raise

    def _made_anew(self) -> Gallery:
        for suffix in FILES:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        shutil.rmtree(self.cache.folder, ignore_errors=True)
        return self._checked(Gallery.open(self._path, create=True))

    def _checked(self, gallery: Gallery) -> Gallery:
        network_id = gallery.facts().network_id
        if network_id not in (None, self._genesis.network_id):
            raise DamagedGalleryError(f"{self._path} is the search of another network")
        # A round can be larger than the bound, and its dealer's share of what is here is that of its stake.
        most = 2 * self._items_max
        gallery.make_collection(COLLECTION, items_max=most, source_items_max=most)
        return gallery


def floor_of(rounds: Rounds, items_max: int) -> int:
    """The first of the newest rounds that together have at most so many items; the newest is always there."""
    total, floor = 0, 0
    for place, (round_, count) in enumerate(reversed(rounds)):
        total += count
        if place and total > items_max:
            return floor
        floor = round_
    return 0
