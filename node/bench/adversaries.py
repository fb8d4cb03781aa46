"""The adversary zoo: each attack a pure function from a scene to what the attackers answer in it.

An attack sees all views and all honest answers at once: no adversary of a round knows more. What the order of
the waves forbids (a part made from the full view, a copy) is allowed here, so that the table says what
statistics alone can stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from node.bench.scene import (
    Answers,
    Rows,
    Scene,
    copies,
    jittered,
    joined,
    leader,
    near_full,
    noise,
    rotation,
    shifted,
    turning,
    unit,
)

TINY_NORM: Final = 1e-4
LAZY_SHARE: Final = 0.3
"""Share of the items that the lazy encode."""
WITHHELD_SHARE: Final = 0.3
"""Share of the items that are withheld."""
SHIFT_NORM: Final = 0.7


Attack: TypeAlias = Callable[[Scene], Answers]


def zero(scene: Scene) -> Answers:
    """Answers zeros, which recompose perfectly."""
    return scene.own.each(np.zeros_like)


def tiny_norm(scene: Scene) -> Answers:
    """Answers its own vectors, ten thousand times too short."""
    return scene.own.each(lambda rows: rows * np.float32(TINY_NORM))


def constant(scene: Scene) -> Answers:
    """Answers one vector to everything; all attackers the same one."""
    vector = noise(scene, (scene.own.full.shape[-1],))
    return scene.own.each(lambda rows: np.broadcast_to(vector, rows.shape))


def random(scene: Scene) -> Answers:
    """Answers each view with a random direction, each attacker its own."""
    return scene.own.each(lambda rows: noise(scene, rows.shape))


def colluding_random(scene: Scene) -> Answers:
    """Answers each view with a random direction that all attackers agreed upon."""
    made_up = leader(scene).each(lambda rows: noise(scene, rows.shape))
    return jittered(scene, made_up)


def colluding_atoms(scene: Scene) -> Answers:
    """All attackers run the same random word vectors, a space of their own that composes."""
    return jittered(scene, scene.atoms)


def rotated_cabal(scene: Scene) -> Answers:
    """All attackers answer the best one's vectors, turned into a space of their own by one rotation."""
    turn = rotation(scene)
    return jittered(scene, leader(scene).each(turning(turn)))


def lone_rotation(scene: Scene) -> Answers:
    """Each attacker turns its own vectors by a rotation of its own."""
    turned = [scene.own.encoders([row]).each(turning(rotation(scene))) for row in range(len(scene.own))]
    return joined(turned)


def partial_rotation(scene: Scene, degrees: int) -> Answers:
    """Every attacker turns its own vectors by the same angle in the same planes: all pull one way."""
    angle = np.deg2rad(degrees)
    basis = rotation(scene)
    # A quarter turn in each of D/2 random planes: x and its image are orthogonal, so x moves by the angle.
    quarter = np.concatenate([basis[1::2], -basis[::2]])
    pairs = np.concatenate([basis[::2], basis[1::2]])
    turn = np.cos(angle) * np.eye(len(basis)) + np.sin(angle) * pairs.T @ quarter
    return scene.own.each(turning(turn))


def replay(scene: Scene) -> Answers:
    """Answers every item with the true answers of another one, all attackers the same one."""
    return scene.own.items(shifted(scene))


def lazy(scene: Scene) -> Answers:
    """Encodes 30 % of the items and answers the rest with the vectors of those."""
    done, count = scene.draw.permutation(scene.own.full.shape[1]), scene.own.full.shape[1]
    kept = max(1, int(LAZY_SHARE * count))
    order = np.arange(count)
    order[done[kept:]] = done[np.arange(count - kept) % kept]
    return scene.own.items(order)


def withholding(scene: Scene) -> Answers:
    """Answers all but 30 % of the items, honestly."""
    answered = np.greater_equal(scene.draw.random(scene.own.full.shape[1]), WITHHELD_SHARE)
    return scene.own.chosen(answered, scene.own.each(lambda rows: np.full_like(rows, np.nan)))


def one_forward(scene: Scene) -> Answers:
    """Encodes the full view only; its parts are the full with a little noise."""
    return Answers(scene.own.full, *(near_full(scene, 0.3) for _ in range(2)))


def half_fabricated(scene: Scene) -> Answers:
    """Encodes half of the items, and fabricates the parts of the other half from the full."""
    count = scene.own.full.shape[1]
    encoded = np.less(scene.draw.permutation(count), count // 2)
    return scene.own.chosen(encoded, one_forward(scene))


def forged_inverse(scene: Scene) -> Answers:
    """Encodes full and mask; the inverse is the full less the mask's share."""
    share = scene.share[None, :, :, None]
    inverse = unit(scene.own.full[:, :, None] - share * scene.own.mask)
    return replace(scene.own, inverse=inverse)


def forged_full(scene: Scene) -> Answers:
    """Encodes the parts of mask 0; the full is their sum."""
    share, parts = scene.share[None, :, 0, None], (scene.own.mask[:, :, 0], scene.own.inverse[:, :, 0])
    return replace(scene.own, full=unit(share * parts[0] + (1 - share) * parts[1]))


def leaking(scene: Scene, strength: float) -> Answers:
    """Mixes the full view into both parts, which then find each other more easily."""
    whole = scene.own.full[:, :, None]
    mixed = ((1 - strength) * rows + strength * whole for rows in (scene.own.mask, scene.own.inverse))
    return Answers(scene.own.full, *(unit(rows) for rows in mixed))


def copycat(scene: Scene, size: float) -> Answers:
    """Copies the best honest encoder's answers of this very round, each attacker with noise of its own."""
    return copies(scene, scene.honest.encoders([0]), size)


def framing(scene: Scene) -> Answers:
    """Runs an honest encoder's model and answers its masks for the inverses, to turn medians against it."""
    victims = scene.honest.encoders([row % len(scene.honest) for row in range(len(scene.own))])
    return replace(victims, inverse=victims.mask)


def near_copies(scene: Scene, cosine: float) -> Answers:
    """The best attacker's encoder under many keys, each jittered until two differ by this cosine."""
    return copies(scene, leader(scene), (1 / cosine - 1) ** 0.5)


def constant_shift(scene: Scene) -> Answers:
    """The best attacker's encoder under many keys, each shifted by a constant of its own."""
    shifts = noise(scene, (len(scene.own), scene.own.full.shape[-1])) * np.float32(SHIFT_NORM)
    alike = leader(scene).encoders([0] * len(scene.own))
    return alike.each(lambda rows: unit(rows + shifts.reshape(len(shifts), *[1] * (rows.ndim - 2), -1)))


def poison(scene: Scene, value: float) -> Answers:
    """Puts one value into one place of every answer, to break the sums of all the others."""

    def poisoned(rows: Rows) -> Rows:
        spoilt = rows.copy()
        spoilt[..., 0] = value
        return spoilt

    return scene.own.each(poisoned)


ATTACKS: Final = MappingProxyType[str, Attack](
    {
        "zero": zero,
        "tiny-norm": tiny_norm,
        "constant": constant,
        "random": random,
        "colluding-random": colluding_random,
        "colluding-atoms": colluding_atoms,
        "rotated-cabal": rotated_cabal,
        "lone-rotation": lone_rotation,
        **{f"rotation-{degrees}": partial(partial_rotation, degrees=degrees) for degrees in (30, 45, 60)},
        "replay": replay,
        "lazy": lazy,
        "withholding": withholding,
        "one-forward": one_forward,
        "half-fabricated": half_fabricated,
        "forged-inverse": forged_inverse,
        "forged-full": forged_full,
        **{f"leak-{part}": partial(leaking, strength=part / 100) for part in (20, 40, 60)},
        **{f"copycat-{part}": partial(copycat, size=part / 100) for part in (5, 50)},
        "framing": framing,
        **{f"near-copies-{part}": partial(near_copies, cosine=part / 100) for part in (99, 97, 95, 90)},
        "constant-shift": constant_shift,
        "poison-nan": partial(poison, value=np.nan),
        "poison-inf": partial(poison, value=np.inf),
        "poison-3e38": partial(poison, value=3e38),
    }
)
"""Every attack by its name."""


def describe(name: str) -> str:
    """What an attack does, in one line."""
    attack = ATTACKS[name]
    return str((attack.func if isinstance(attack, partial) else attack).__doc__).strip()
