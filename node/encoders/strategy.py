"""How an encoder answers the waves of a round: honestly, or as one of the cheaters the network must stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from node.encoders.encoder import DIMENSIONS, Encoder, LendingEncoder, View, unit_rows


@dataclass(frozen=True, slots=True)
class WaveAnswer:
    """What a wave of a round asked and what was answered: row i of answers [n, DIMENSIONS] is for view i."""

    views: tuple[View, ...]
    answers: NDArray[np.float32]


class AnswerStrategy(Protocol):
    """Answers the waves of one round; holds no state of a round, so a restarted encoder answers the same."""

    @property
    def name(self) -> str:
        """The name it is loaded by."""

    @property
    def delay_after_deadline_ms(self) -> int | None:
        """How long after the deadline the answer is to be sent; None: as soon as it is there."""

    @property
    def wants_published(self) -> bool:
        """Whether the role is to fetch what others reveal and `offer` it."""

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """[n, DIMENSIONS] float32 for n views of wave 1, 2 or 3; `history` has the round's earlier waves.

        Good until the next call: they may lie in memory that a model's process writes to.
        """

    def offer(self, published: NDArray[np.float32]) -> None:
        """Hear another encoder's reveal of a past round, rows [n, DIMENSIONS]: a copycat uses it."""


@dataclass(frozen=True, slots=True)
class Honest:
    """Encodes what it is asked."""

    encoder: Encoder
    name: str = "honest"
    delay_after_deadline_ms: int | None = None
    wants_published: bool = False

    def answer(
        self, wave: int, views: Sequence[View], history: Mapping[int, WaveAnswer]
    ) -> NDArray[np.float32]:
        """The encoder's own vectors."""
        if isinstance(self.encoder, LendingEncoder):
            return self.encoder.lend(views)
        return self.encoder.encode(views)

    def offer(self, published: NDArray[np.float32]) -> None:
        """Of no use to it."""


def random_rows(count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Random directions: [count, DIMENSIONS] float32 at unit norm."""
    return unit_rows(generator.standard_normal((count, DIMENSIONS), dtype=np.float32))


def generator_for(seed: int, wave: int, views: Sequence[View]) -> np.random.Generator:
    """Randomness that depends on the seed and the wave's views alone."""
    hasher = blake3(f"{seed}:{wave}".encode())
    for view in views:
        hasher.update(blake3(view.encode() if isinstance(view, str) else view).digest())
    return np.random.default_rng(int.from_bytes(hasher.digest(), "little"))
