"""Refitting a model's map to its network's pairs, a little at a time: the next wave never waits for long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.catalogue import AlignedEncoder, LiftedEncoder, load_native
from node.encoders.encoder import EncoderError, View
from node.encoders.own_alignment import OwnAlignment, Target, store_own_alignment
from node.encoders.refit import PAIRS_MIN, Refitted, held_out_of, refitted
from node.model_process.wire import Fitted, Refit, RefitProgress, Setup
from node.pairs import PAIRS_MAX, Pairs
from node.store.database import Access
from protocol.modalities import TEXT

ITEMS_AT_ONCE: Final = 8
"""Embedded between two looks at the clock."""
DIMENSIONS_MAX: Final = 4_096
"""Of a model's own space: a wider one would take minutes to fit, and gigabytes."""


class Refitter:
    """Refits one model. It remembers its and the reference's vectors of PAIRS_MAX items: 80 MiB at most."""

    def __init__(self, encoder: AlignedEncoder, setup: Setup) -> None:
        self.encoder = encoder
        """The model under the map it has now."""
        self._setup = setup
        self._reference = LiftedEncoder(load_native(setup.reference, modality=setup.modality))
        self._rows: dict[bytes, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        self._items: list[bytes] = []
        self._vectors = np.zeros((0, 0), np.float32)
        self._fit: Thread | None = None
        self._result: Refitted | str = ""

    def step(self, asked: Refit) -> RefitProgress:
        """Work for `asked.within_s`, or a moment more. Raises EncoderError, StoreError."""
        until_s = monotonic() + asked.within_s
        if asked.begins:
            self._begin(Path(asked.folder), asked.pairs)
        if self._fit is None:
            while missing := self._missing():
                self._embed(missing[:ITEMS_AT_ONCE])
                if monotonic() >= until_s:
                    break
            done = len(self._items) - len(self._missing())
            if done < len(self._items) and not (asked.is_last and done >= PAIRS_MIN):
                return RefitProgress(done, len(self._items))
            self._fit = Thread(target=self._fitted, daemon=True)
            self._fit.start()
        self._fit.join(max(0.0, until_s - monotonic()))
        if self._fit.is_alive():
            return RefitProgress(len(self._items), len(self._items))
        self._fit = None
        return RefitProgress(len(self._items), len(self._items), self._taken())

    def _begin(self, folder: Path, pairs: int) -> None:
        if self.encoder.native.dimensions > DIMENSIONS_MAX:
            raise EncoderError(
                f"{self.encoder.name} has {self.encoder.native.dimensions} dimensions, and a map is refitted "
                f"for up to {DIMENSIONS_MAX}: align it once with `deltamesh encoder align`"
            )
        if self._fit is not None:
            raise EncoderError("the map before is still being fitted: give it more --threads")
        with Pairs.open(folder, access=Access.READ_ONLY) as kept:
            self._items, self._vectors = kept.newest(min(pairs, PAIRS_MAX))
        if len(self._items) < PAIRS_MIN:
            raise EncoderError(f"{len(self._items)} pairs are too few, {PAIRS_MIN} are needed: wait for more")
        wanted = set(self._items)
        self._rows = {item: row for item, row in self._rows.items() if item in wanted}

    def _missing(self) -> list[bytes]:
        return [item for item in self._items if item not in self._rows]

    def _embed(self, items: Sequence[bytes]) -> None:
        # The full view of an item is the item itself.
        views: list[View] = [item.decode() if self._setup.modality == TEXT.name else item for item in items]
        rows, reference = self.encoder.native.embed(views), self._reference.encode(views)
        self._rows.update(zip(items, zip(rows, reference, strict=True), strict=True))

    def _fitted(self) -> None:
        places = [place for place, item in enumerate(self._items) if item in self._rows]
        known = [self._rows[self._items[place]] for place in places]
        native, reference = (np.stack(rows) for rows in zip(*known, strict=True))
        encoder = self.encoder
        try:
            held_out = held_out_of([self._items[place] for place in places])
            self._result = refitted(
                encoder.map, native, self._vectors[places], reference, held_out, encoder.way
            )
        except (ValueError, np.linalg.LinAlgError, MemoryError) as error:
            self._result = f"{type(error).__name__}: {error}"

    def _taken(self) -> Fitted:
        """Go by the new map if it is better."""
        result = self._result
        if isinstance(result, str):
            raise EncoderError(f"the map of {self.encoder.name} cannot be fitted: {result}")
        if result.is_better:
            encoder = self.encoder
            self.encoder = AlignedEncoder(encoder.native, result.map, encoder.way)
            if self._setup.cache_dir is not None:
                store_own_alignment(
                    Path(self._setup.cache_dir),
                    Target.CONSENSUS,
                    encoder.native,
                    self._reference.native,
                    OwnAlignment(result.map, encoder.way),
                )
        return Fitted(result.before, result.after, result.is_better, result.pairs)
