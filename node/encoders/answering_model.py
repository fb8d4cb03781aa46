"""A model known by its answers alone: how many dimensions it has and which model it is are asked of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.answers import checked_rows
from node.encoders.encoder import EncoderError, View, as_texts, unit_rows
from node.encoders.probe_views import probe_views
from protocol.items import ItemError

FINGERPRINT_STEPS: Final = 50
"""Directions are compared in steps of a fiftieth: another thread count or GPU must not look like another
model."""


class AnsweringModel(ABC):
    """A NativeEncoder of which only the answers are known; each kind says how one is asked."""

    def __init__(self, name: str, modality: str = "text") -> None:
        self.name = name
        self.modality = modality
        self._dimensions: int | None = None

    @property
    def dimensions(self) -> int:
        """What it returns for one small view, once it has been asked."""
        if self._dimensions is None:
            self._rows(probe_views(self.modality)[:1])
        assert self._dimensions is not None
        return self._dimensions

    def fingerprint(self) -> bytes:
        """Digest of what it answers to a few views: its code may be the same, and its weights another's."""
        rows = np.nan_to_num(unit_rows(self._rows(probe_views(self.modality))))
        return blake3(np.rint(rows * FINGERPRINT_STEPS).astype("<i2").tobytes()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, d] float32 at unit norm; zeros where it has no direction, NaN where it returned no numbers."""
        if not views:
            return np.zeros((0, self._dimensions or 0), dtype=np.float32)
        return unit_rows(self._rows(seen_by_models(self.modality, views, self.name)))

    @abstractmethod
    def _answer(self, views: list[Any]) -> Any:
        """What the model says to views as models see them. Raises EncoderError."""

    def _rows(self, views: list[Any]) -> NDArray[np.float32]:
        rows = checked_rows(self._answer(views), len(views), self.name, self._dimensions)
        self._dimensions = rows.shape[1]
        return rows


def seen_by_models(modality: str, views: Sequence[View], name: str) -> list[Any]:
    """Views as models see them: strings of text, bytes of raw data, arrays of everything else.

    Raises EncoderError where the model `name`, opened for this modality, is given another.
    """
    if modality == "text":
        return [*as_texts(views, name)]
    from node.modalities import decode_view

    if any(isinstance(view, str) for view in views):
        raise EncoderError(f"{name} was opened for {modality}, and was given text")
    try:
        return [decode_view(modality, view) for view in views]
    except ItemError as error:
        raise EncoderError(f"{name} was given what is no view of {modality}: {error}") from error
