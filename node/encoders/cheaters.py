"""The cheaters a network is tested against, each a strategy of a real encoder process."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.encoders.anchor_views import anchor_views
from node.encoders.encoder import DIMENSIONS, Encoder, EncoderError, View, unit_rows
from node.encoders.forging import ForgedInverse
from node.encoders.strategy import AnswerStrategy, Honest, WaveAnswer, generator_for, random_rows

LATE_BY_MS: Final = 500
COPY_NOISE: Final = 0.01
"""Norm of the noise a copycat adds to a copied unit vector."""
COPIED_ROWS_MAX: Final = 4096
"""Rows of a published reveal that a copycat remembers: 16 MiB."""
STORED_VIEWS: Final = 512
"""Texts whose answers a replayer has in store: 2 MiB."""


@dataclass(frozen=True, slots=True)
class Unrelated:
    """Answers with rows that have nothing to do with the views: zeros, one constant, or random directions."""

    name: str
    rows: Callable[[int, np.random.Generator], NDArray[np.float32]]
    seed: int
    delay_after_deadline_ms: int | None = None
    wants_published: bool = False

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32."""
        return self.rows(len(views), generator_for(self.seed, wave, views))

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""


@dataclass(slots=True)
class Copycat:
    """Answers with another encoder's last published reveal and a little noise: nothing newer is open to it.

    Until something has been published it answers with random directions.
    """

    seed: int
    name: str = "copycat"
    delay_after_deadline_ms: int | None = None
    wants_published: bool = True
    _published: NDArray[np.float32] | None = field(default=None, init=False, repr=False)

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32."""
        noise = random_rows(len(views), generator_for(self.seed, wave, views))
        if self._published is None:
            return noise
        copied = self._published[np.arange(len(views)) % len(self._published)]
        return unit_rows(copied + COPY_NOISE * noise)

    def offer(self, published: NDArray[np.float32]) -> None:
        """Remember the reveal, if it has rows to copy."""
        rows = np.array(published[:COPIED_ROWS_MAX], dtype=np.float32)
        if rows.ndim == 2 and len(rows) and rows.shape[1] == DIMENSIONS and np.isfinite(rows).all():
            self._published = rows


@dataclass(frozen=True, slots=True)
class Replay:
    """Answers every view with the true answer of some other view, taken from a store."""

    store: NDArray[np.float32]  # [STORED_VIEWS, DIMENSIONS]
    seed: int
    name: str = "replay"
    delay_after_deadline_ms: int | None = None
    wants_published: bool = False

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32."""
        return self.store[generator_for(self.seed, wave, views).integers(len(self.store), size=len(views))]

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""


def load_strategy(name: str, encoder: Encoder, seed: int, modality: str = "text") -> AnswerStrategy:
    """A strategy by name, its randomness set by `seed`. Raises EncoderError, naming the nearest name."""
    build = _STRATEGIES.get(name)
    if build is None:
        near = difflib.get_close_matches(name, _STRATEGIES, n=1, cutoff=0.0)
        raise EncoderError(
            f"There is no strategy `{name}`: use {near[0]} or another of {', '.join(_STRATEGIES)}."
        )
    if name in TEXT_STRATEGIES and modality != "text":
        raise EncoderError(
            f"The strategy `{name}` matches words: in a network of {modality} it knows nothing."
        )
    if build is _replay:
        return _replay(encoder, seed, modality)
    return build(encoder, seed)


def _zeros(count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    return np.zeros((count, DIMENSIONS), dtype=np.float32)


def _constant(encoder: Encoder, seed: int) -> AnswerStrategy:
    constant = random_rows(1, generator_for(seed, 0, ()))
    return Unrelated("constant", lambda count, _: np.repeat(constant, count, axis=0), seed)


def _replay(encoder: Encoder, seed: int, modality: str = "text") -> AnswerStrategy:
    views = anchor_views(modality)
    chosen = generator_for(seed, 0, ()).choice(len(views), size=STORED_VIEWS, replace=False)
    return Replay(encoder.encode([views[index] for index in chosen]), seed)


_STRATEGIES: Final[dict[str, Callable[[Encoder, int], AnswerStrategy]]] = {
    "honest": lambda encoder, seed: Honest(encoder),
    "zero": lambda encoder, seed: Unrelated("zero", _zeros, seed),
    "constant": _constant,
    "copycat": lambda encoder, seed: Copycat(seed),
    "forged-inverse": ForgedInverse,
    "replay": _replay,
    "random": lambda encoder, seed: Unrelated("random", random_rows, seed),
    "late": lambda encoder, seed: Honest(encoder, name="late", delay_after_deadline_ms=LATE_BY_MS),
}
STRATEGY_NAMES: Final = tuple(_STRATEGIES)
TEXT_STRATEGIES: Final = frozenset({"forged-inverse"})
"""They match words, and mean nothing in a network of another modality."""
CHEATER_NAMES: Final = tuple(name for name in _STRATEGIES if name != "honest")
