"""Forgers and leakers by what they have seen: all views at once, or one wave after the other.

At once they forge from the true full view. With the waves they hold a fragment when they answer it, what they
answered before, and past rounds: the full view has to be guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from node.bench.adversaries import forged_full, forged_inverse, leaking
from node.bench.scene import Answers, Rows, Scene, unit
from node.encoders.forging import matched_masks

NEIGHBOURS: Final = 4
"""Past full views nearest to a mask, from which the full view is guessed."""

Forgery: TypeAlias = Callable[[Scene, Rows], Answers]
"""What the attackers answer in a scene; they remember full views of past rounds, [N, P, D]."""


class Order(Enum):
    """What is seen before an answer is locked."""

    AT_ONCE = "at once"
    """Every view before any answer: no waves, an item that is known, or a dealer that tells."""
    WAVES = "waves"
    """Masks, then inverses, then full views, each locked before the next."""


def guessed_inverse(scene: Scene, past: Rows) -> Answers:
    """Encodes the masks; the inverse is a guess of the full less the mask, the full guessed from the past.

    Which mask an inverse belongs to is granted to it.
    """
    share = scene.share[None, :, 0, None]
    masks = scene.own.mask[:, :, 0]
    inverse = unit(_guessed_full(masks, past) - share * masks)
    return replace(scene.own, inverse=inverse[:, :, None])


def guessing_leak(scene: Scene, past: Rows, strength: float) -> Answers:
    """Mixes a guess of the full into the masks, and into each inverse the mask that seems to belong to it."""
    masks, inverses = scene.own.mask[:, :, 0], scene.own.inverse[:, :, 0]
    leaking = unit(_mixed(masks, _guessed_full(masks, past), strength))
    glued = np.stack([own[_pairs(own, other)] for own, other in zip(masks, inverses, strict=True)])
    mixed = unit(_mixed(inverses, glued, strength))
    return Answers(scene.own.full, leaking[:, :, None], mixed[:, :, None])


def gluing(scene: Scene, past: Rows, strength: float) -> Answers:
    """Encodes the masks; mixes into each inverse the mask that seems to belong to it."""
    masks, inverses = scene.own.mask[:, :, 0], scene.own.inverse[:, :, 0]
    glued = np.stack([own[_pairs(own, other)] for own, other in zip(masks, inverses, strict=True)])
    mixed = unit(_mixed(inverses, glued, strength))
    return replace(scene.own, inverse=mixed[:, :, None])


def _guessed_full(masks: Rows, past: Rows) -> Rows:
    """Between a mask and the past full views nearest to it. [N, I, D], [N, P, D] -> [N, I, D] unit rows."""
    guesses = np.empty_like(masks)
    for guess, own, known in zip(guesses, masks, past, strict=True):
        cosines = own @ known.T  # [I, P]
        nearest = np.argpartition(-cosines, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        weights = np.take_along_axis(cosines, nearest, axis=1)
        guess[:] = unit(own + unit(np.einsum("ik,ikd->id", weights, known[nearest])))
    return guesses


def _mixed(rows: Rows, other: Rows, strength: float) -> Rows:
    return (np.float32(1 - strength) * rows + np.float32(strength) * other).astype(np.float32)


def _pairs(masks: Rows, inverses: Rows) -> NDArray[np.int64]:
    """Of each inverse the mask that seems to belong to it, the most alike pairs first."""
    return matched_masks((inverses @ masks.T).astype(np.float64))


def _honest(scene: Scene, past: Rows) -> Answers:
    """Answers what it is asked."""
    return scene.own


def _seeing_all(attack: Callable[[Scene], Answers]) -> Forgery:
    return lambda scene, past: attack(scene)


FORGERIES: Final = MappingProxyType[str, dict[Order, Forgery]](
    {
        "honest": {order: _honest for order in Order},
        "forged-inverse": {Order.AT_ONCE: _seeing_all(forged_inverse), Order.WAVES: guessed_inverse},
        # Full views come last: the parts they are made of are known by then, waves or not.
        "forged-full": {order: _seeing_all(forged_full) for order in Order},
        **{
            f"leak-{part}": {
                Order.AT_ONCE: _seeing_all(partial(leaking, strength=part / 100)),
                Order.WAVES: partial(guessing_leak, strength=part / 100),
            }
            for part in (10, 20, 40)
        },
        "glue-20": {Order.WAVES: partial(gluing, strength=0.2)},
        "glue-40": {Order.WAVES: partial(gluing, strength=0.4)},
    }
)
"""Every forgery by its name, and how it is done in each order."""
