"""The space answers are given in, kept ready: the newest epoch's transform."""

from __future__ import annotations

import threading

from node.space import NEWEST, Space, open_space
from node.store import Store
from protocol.genesis import Genesis


class NewestSpace:
    """The space of the newest epoch. Thread-safe; who asks first after an epoch began waits for it."""

    def __init__(self, genesis: Genesis, store: Store) -> None:
        self._genesis = genesis
        self._store = store
        self._lock = threading.Lock()
        self._found: Space | None = None

    def get(self) -> Space:
        """Takes about a second once an epoch. Raises SpaceError, StoreError."""
        number = self._store.newest_epoch()
        found = self._found
        if found is not None and found.epoch == number:
            return found
        with self._lock:
            if self._found is None or self._found.epoch != number:
                self._found = open_space(self._genesis, self._store, NEWEST)
            return self._found
