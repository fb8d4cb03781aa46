"""Refitting a model's map to its network's pairs, a little at a time: the next wave never waits for long."""

from __future__ import annotations

from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.alignment import lift
from node.encoders.catalogue import AlignedEncoder, load_native
from node.encoders.encoder import EncoderError, View, made_answers
from node.encoders.own_alignment import OwnAlignment, Target, store_own_alignment
from node.encoders.refit import PAIRS_MIN, Refitted, held_out_of, refitted
from node.memory import give_back_now
from node.model_process.remembered import RememberedRows
from node.model_process.wire import Fitted, Refit, RefitProgress, Setup
from node.pairs import PAIRS_MAX, Pairs
from node.store.database import Access
from protocol.modalities import TEXT

ITEMS_AT_ONCE: Final = 8
"""Embedded between two looks at the clock."""
DIMENSIONS_MAX: Final = 4_096
"""Of a model's own space: a wider one would take minutes to fit, and gigabytes."""
_NO_VECTORS: Final = np.zeros((0, 0), np.float32)


class Refitter:
    """Refits one model. It remembers its and the reference's own rows of PAIRS_MAX items: 80 MiB at most."""

    def __init__(self, encoder: AlignedEncoder, setup: Setup) -> None:
        self.encoder = encoder
        """The model under the map it has now."""
        self._setup = setup
        self._reference = load_native(setup.reference, modality=setup.modality)
        self._rows = RememberedRows(encoder.native.dimensions, self._reference.dimensions)
        self._items: list[bytes] = []
        self._vectors = _NO_VECTORS
        self._fit: Thread | None = None
        self._result: Refitted | str = ""

    def step(self, asked: Refit) -> RefitProgress:
        """Work for `asked.within_s`, or a moment more. Raises EncoderError, StoreError."""
        until_s = monotonic() + asked.within_s
        if asked.begins:
            self._begin(Path(asked.folder), asked.pairs)
        if self._fit is None:
            while (missing := self._rows.missing()).size:
                self._embed(missing[:ITEMS_AT_ONCE])
                if monotonic() >= until_s:
                    break
            total = len(self._items)
            done = total - self._rows.missing().size
            if done < total and not (asked.is_last and done >= PAIRS_MIN):
                return RefitProgress(done, total)
            self._fit = Thread(target=self._fitted, daemon=True)
            self._fit.start()
        self._fit.join(max(0.0, until_s - monotonic()))
        total = len(self._items)
        if self._fit.is_alive():
            return RefitProgress(total, total)
        self._fit = None
        # The next refit reads them anew; until then they are only in the way, of pictures up to 128 MiB.
        self._items, self._vectors = [], _NO_VECTORS
        give_back_now()
        return RefitProgress(total, total, self._taken())

    def _begin(self, folder: Path, pairs: int) -> None:
        if self.encoder.native.dimensions > DIMENSIONS_MAX:
            raise EncoderError(
                f"{self.encoder.name} has {self.encoder.native.dimensions} dimensions, and a map is refitted "
                f"for up to {DIMENSIONS_MAX}: align it once with `deltamesh encoder align`"
            )
        if self._fit is not None and self._fit.is_alive():
            raise EncoderError("the map before is still being fitted: give it more --threads")
        self._fit = None  # nobody has waited for it: this one is of newer pairs
        with Pairs.open(folder, access=Access.READ_ONLY) as kept:
            self._items, self._vectors = kept.newest(min(pairs, PAIRS_MAX))
        if len(self._items) < PAIRS_MIN:
            raise EncoderError(f"{len(self._items)} pairs are too few, {PAIRS_MIN} are needed: wait for more")
        self._rows.keep([blake3(item).digest() for item in self._items])

    def _embed(self, places: NDArray[np.int64]) -> None:
        # The full view of an item is the item itself.
        items = [self._items[place] for place in places]
        views: list[View] = [item.decode() if self._setup.modality == TEXT.name else item for item in items]
        self._rows.put(places, self.encoder.native.embed(views), self._reference.embed(views))

    def _fitted(self) -> None:
        encoder = self.encoder
        try:
            known, (native, reference) = self._rows.known()
            held_out = held_out_of(self._items)[known]
            answers = made_answers(reference @ lift(self._reference.dimensions))  # as LiftedEncoder's
            vectors = self._vectors if known.all() else self._vectors[known]
            self._result = refitted(encoder.map, native, vectors, answers, held_out, encoder.way)
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
                    self._reference,
                    OwnAlignment(result.map, encoder.way),
                )
        return Fitted(result.before, result.after, result.is_better, result.pairs)
