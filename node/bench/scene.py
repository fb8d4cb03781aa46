"""What the attackers of a shard have to work with, and the moves that attacks are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float32]

JITTER: Final = 0.05
"""Norm of what tells the members of a cabal apart, so that they are not copies to the bit."""


@dataclass(frozen=True)
class Answers:
    """Answers of N encoders to one batch; NaN is withheld."""

    full: Rows
    """[N, I, D]."""
    mask: Rows
    """[N, I, K, D]."""
    inverse: Rows
    """[N, I, K, D]."""

    def __len__(self) -> int:
        return len(self.full)

    def each(self, change: Callable[[Rows], Rows]) -> Answers:
        """The same change made to the answers of every role."""
        return Answers(*(change(rows).astype(np.float32) for rows in (self.full, self.mask, self.inverse)))

    def encoders(self, rows: NDArray[np.int64] | list[int]) -> Answers:
        """Some of the encoders, in that order; an encoder may come more than once."""
        return self.each(lambda answers: answers[rows])

    def items(self, order: NDArray[np.int64]) -> Answers:
        """Item i answered as item order[i]."""
        return self.each(lambda answers: answers[:, order])

    def chosen(self, where: NDArray[np.bool_], other: Answers) -> Answers:
        """These answers for the items [I] marked, the other ones for the rest."""
        pairs = ((self.full, other.full), (self.mask, other.mask), (self.inverse, other.inverse))
        return Answers(*(np.where(_over(where[None], ours), ours, theirs) for ours, theirs in pairs))


@dataclass(frozen=True)
class Scene:
    """What the attackers have to work with."""

    own: Answers
    """Honest answers of the attackers' own encoders, the best first."""
    honest: Answers
    """Answers of all others, the best first."""
    atoms: Answers
    """One encoder: random word vectors in a space that is aligned to nothing."""
    share: Rows
    """[I, K]: the mask's share of its item."""
    draw: np.random.Generator
    """All randomness of the attack."""


def leader(scene: Scene) -> Answers:
    """The best of the attackers' encoders."""
    return scene.own.encoders([0])


def jittered(scene: Scene, leader: Answers) -> Answers:
    """The leader's answers for every attacker, each a little apart."""
    return copies(scene, leader, JITTER)


def copies(scene: Scene, original: Answers, size: float) -> Answers:
    """As many copies of one encoder as there are attackers, each off by noise of that norm."""
    alike = original.encoders([0] * len(scene.own))
    return alike.each(lambda rows: unit(rows + np.float32(size) * noise(scene, rows.shape)))


def near_full(scene: Scene, size: float) -> Rows:
    """Parts [N, I, K, D] that are the full view, each with noise of that norm."""
    parts = scene.own.mask.shape
    whole = np.broadcast_to(scene.own.full[:, :, None], parts)
    return unit(whole + np.float32(size) * noise(scene, parts))


def shifted(scene: Scene) -> NDArray[np.int64]:
    """A permutation without a fixed item."""
    count = scene.own.full.shape[1]
    order = scene.draw.permutation(count)
    shifted = np.empty(count, dtype=np.int64)
    shifted[order] = np.roll(order, 1)
    return shifted


def rotation(scene: Scene) -> NDArray[np.float64]:
    """A random rotation [D, D], its rows orthonormal."""
    dimension = scene.own.full.shape[-1]
    turn: NDArray[np.float64] = np.linalg.qr(scene.draw.standard_normal((dimension, dimension)))[0]
    return turn


def turning(turn: NDArray[np.float64]) -> Callable[[Rows], Rows]:
    """Rows turned by a rotation [D, D]."""
    matrix = turn.astype(np.float32)
    return lambda rows: rows @ matrix


def joined(parts: list[Answers]) -> Answers:
    """All encoders of the parts, in order."""
    return Answers(
        *(np.concatenate([getattr(part, role) for part in parts]) for role in ("full", "mask", "inverse"))
    )


def noise(scene: Scene, shape: tuple[int, ...]) -> Rows:
    """Random directions at unit norm."""
    return unit(scene.draw.standard_normal(shape, dtype=np.float32))


def unit(rows: Rows) -> Rows:
    """Rows [..., D] at unit norm."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-9), dtype=np.float32)


def _over(where: NDArray[np.bool_], rows: Rows) -> NDArray[np.bool_]:
    """Marks of [1, I] with as many trailing axes as the rows have."""
    return where.reshape(where.shape + (1,) * (rows.ndim - 2))
