"""What the dense encoders share: views of one shape go together, units that show nothing are left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError, View, unit_rows
from protocol.items import ItemError

BATCH_VALUES: Final = 1 << 18
"""Values of views embedded together: their features are some twenty times as many."""


SPREAD_FLOOR: Final = 0.01
"""Of the mean strength, added to each: directions that stimuli hardly show must not be blown up."""


@dataclass(frozen=True, slots=True)
class DenseEncoder:
    """A native encoder: features of a batch of decoded views of one shape, at unit norm."""

    name: str
    modality: str
    dimensions: int
    decode: Callable[[bytes], NDArray[Any]]
    """A view as an array; views whose arrays have one shape go together. Raises ItemError."""
    features: Callable[[NDArray[Any]], NDArray[np.float32]]
    """[n, ...] decoded views of one shape -> [n, dimensions]; NaN where a view does not show a feature."""
    stimuli: Callable[[], NDArray[Any]]
    """A batch of fixed views that features are centred and spread by."""
    spread: float = 0.5
    """0 only centres, 1 makes all directions of the stimuli's features equally strong."""

    def fingerprint(self) -> bytes:
        """Digest of the code: its vectors depend on nothing else."""
        return blake3(self.name.encode() + _code_digest()).digest()

    def embed(self, views: Sequence[View]) -> NDArray[np.float32]:
        """[n, dimensions] float32 at unit norm. Raises EncoderError for a view of another modality."""
        rows = np.zeros((len(views), self.dimensions), np.float32)
        by_shape: dict[tuple[int, ...], list[tuple[int, NDArray[Any]]]] = {}
        for place, view in enumerate(views):
            decoded = self._decoded(view)
            by_shape.setdefault(decoded.shape, []).append((place, decoded))
        for shape, members in by_shape.items():
            size = _at_once(shape)
            for start in range(0, len(members), size):
                places, arrays = zip(*members[start : start + size], strict=True)
                rows[list(places)] = self._placed(self.features(np.stack(arrays)))
        return unit_rows(rows)

    def _placed(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features about the stimuli's mean, which stands for what is not seen."""
        frame = _frame(self.features, self.stimuli, self.spread)
        known: NDArray[np.float32] = np.nan_to_num(features - frame.centre)
        return known if frame.transform is None else known @ frame.transform

    def _decoded(self, view: View) -> NDArray[Any]:
        if isinstance(view, str):
            raise EncoderError(f"{self.name} embeds views of {self.modality}, and was given text")
        try:
            return self.decode(view)
        except ItemError as error:
            raise EncoderError(f"{self.name} was given a view that is no {self.modality}: {error}") from error


def mean_over(features: NDArray[np.float32], live: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Mean of features [n, units, d] over the units that are live [n, units]: [n, d]; NaN where none is."""
    count = live.sum(axis=1, keepdims=True)
    weight = np.where(count > 0, live / np.maximum(count, 1), np.nan).astype(np.float32)
    pooled: NDArray[np.float32] = (weight[:, None] @ features)[:, 0]
    return pooled


class _Frame(NamedTuple):
    """Where features lie on fixed stimuli."""

    centre: NDArray[np.float32]  # [d]
    transform: NDArray[np.float32] | None  # [d, d]


@lru_cache(maxsize=16)
def _frame(
    features: Callable[[NDArray[Any]], NDArray[np.float32]],
    stimuli: Callable[[], NDArray[Any]],
    spread: float,
) -> _Frame:
    """Centre and transform V (Lambda + .01 mean Lambda)^(-spread/2) V^T of the features' covariance.

    A continuous function of it: what a machine rounds otherwise stays a matter of rounding.
    """
    drawn = stimuli()
    size = _at_once(drawn.shape[1:])
    parts = [features(drawn[start : start + size]) for start in range(0, len(drawn), size)]
    found = np.concatenate(parts).astype(np.float64)
    centre = found.mean(axis=0)
    if spread == 0:
        return _Frame(centre.astype(np.float32), None)
    strengths, directions = np.linalg.eigh(np.cov(found - centre, rowvar=False))
    raised = (np.maximum(strengths, 0) + SPREAD_FLOOR * strengths.mean()) ** (-spread / 2)
    transform = (directions * raised) @ directions.T
    return _Frame(centre.astype(np.float32), transform.astype(np.float32))


def _at_once(shape: tuple[int, ...]) -> int:
    return max(1, BATCH_VALUES // max(1, int(np.prod(shape))))


@cache
def _code_digest() -> bytes:
    hasher = blake3()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        hasher.update(blake3(path.read_bytes()).digest())
    return hasher.digest()
