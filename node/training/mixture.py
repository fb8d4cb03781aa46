"""Losses by name, mixed by weights, and the views each of them needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import normalize

from node.training.errors import TrainingError
from scoring.losses import (
    Distance,
    contrastive,
    differential,
    differential_literal,
    distillation,
    generalized_triplet,
    info_nce,
    n_pair,
    triplet,
)


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a model made of one batch; what no loss asked for is None. Rows [n, d] as the model gave them."""

    anchor: Tensor | None = None
    positive: Tensor | None = None
    negatives: Tensor | None = None
    """[n, n] bool."""
    drawn_negative: Tensor | None = None
    """[n] the place of one negative of each anchor, drawn; its own place where it has none."""
    full: Tensor | None = None
    mask: Tensor | None = None
    inverse: Tensor | None = None
    share: Tensor | None = None
    targets: Tensor | None = None


class Need(Enum):
    """Which views a loss looks at."""

    PAIRS = auto()
    """Anchors and positives."""
    SPLIT = auto()
    """The item, a mask of it and its inverse."""
    TARGETS = auto()
    """The item, and the consensus on it."""


@dataclass(frozen=True, slots=True)
class Constants:
    """Of the losses."""

    margin: float = 0.2
    temperature: float = 0.1


def _contrastive(batch: Embedded, constants: Constants) -> Tensor:
    anchor, positive, negative, has = _triplets(batch)
    first = torch.cat((anchor, anchor[has]))
    second = torch.cat((positive, negative[has]))
    marks = torch.zeros(len(first), device=first.device)
    marks[: len(anchor)] = 1
    return contrastive(first, second, marks, constants.margin)


def _triplet(form: Distance) -> Callable[[Embedded, Constants], Tensor]:
    def loss(batch: Embedded, constants: Constants) -> Tensor:
        anchor, positive, negative, has = _triplets(batch)
        if not bool(has.any()):
            return anchor.sum() * 0.0
        return triplet(anchor[has], positive[has], negative[has], constants.margin, form)

    return loss


def _generalized(batch: Embedded, constants: Constants) -> Tensor:
    anchor, positive = _pair(batch)
    return generalized_triplet(normalize(anchor), normalize(positive), batch.negatives, constants.margin)


def _n_pair(batch: Embedded, constants: Constants) -> Tensor:
    return n_pair(*_pair(batch), batch.negatives)


def _info_nce(batch: Embedded, constants: Constants) -> Tensor:
    return info_nce(*_pair(batch), batch.negatives, constants.temperature)


def _differential(batch: Embedded, constants: Constants) -> Tensor:
    full, mask, inverse, share = batch.full, batch.mask, batch.inverse, batch.share
    assert full is not None
    assert mask is not None
    assert inverse is not None
    assert share is not None
    return differential(full, mask, inverse, share)


def _literal(batch: Embedded, constants: Constants) -> Tensor:
    full, mask, inverse = batch.full, batch.mask, batch.inverse
    assert full is not None
    assert mask is not None
    assert inverse is not None
    return differential_literal(full, mask, inverse)


def _distillation(batch: Embedded, constants: Constants) -> Tensor:
    assert batch.full is not None
    assert batch.targets is not None
    rows = normalize(batch.full, dim=1)
    # The network takes an encoder's mean off its answers before it compares: so does this.
    return distillation(rows - rows.mean(dim=0), batch.targets)


@dataclass(frozen=True, slots=True)
class _Known:
    loss: Callable[[Embedded, Constants], Tensor]
    needs: Need


LOSSES: Final[dict[str, _Known]] = {
    "contrastive": _Known(_contrastive, Need.PAIRS),
    "triplet": _Known(_triplet(Distance.SQUARED), Need.PAIRS),
    "triplet-plain": _Known(_triplet(Distance.PLAIN), Need.PAIRS),
    "generalized-triplet": _Known(_generalized, Need.PAIRS),
    "n-pair": _Known(_n_pair, Need.PAIRS),
    "infonce": _Known(_info_nce, Need.PAIRS),
    "differential": _Known(_differential, Need.SPLIT),
    "differential-literal": _Known(_literal, Need.SPLIT),
    "distillation": _Known(_distillation, Need.TARGETS),
}
"""By the name after `--loss`. All but n-pair and the literal form, which need free norms, see unit rows."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """sum of weight x loss."""

    weights: tuple[tuple[str, float], ...]
    constants: Constants = Constants()

    @classmethod
    def parsed(cls, terms: Sequence[str], constants: Constants = Constants()) -> Mixture:
        """From `infonce=1`, `differential=0.3`; a name alone weighs 1. Raises TrainingError."""
        weights: dict[str, float] = {}
        for term in terms:
            name, equals, text = term.partition("=")
            if name not in LOSSES:
                raise TrainingError(f"there is no loss '{name}': use one of {', '.join(LOSSES)}")
            try:
                weight = float(text) if equals else 1.0
            except ValueError:
                weight = math.nan
            if not (math.isfinite(weight) and weight > 0):
                raise TrainingError(f"'{term}' has no weight above 0: write {name}=0.5")
            weights[name] = weight
        if not weights:
            raise TrainingError("there is nothing to learn from: give a --loss, as in --loss infonce=1")
        return cls(tuple(weights.items()), constants)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the losses, in the order given."""
        return tuple(name for name, _ in self.weights)

    def needs(self, what: Need) -> bool:
        """Whether some loss looks at these views."""
        return any(LOSSES[name].needs is what for name in self.names)

    def __call__(self, batch: Embedded) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum, and each loss before its weight."""
        parts = {name: LOSSES[name].loss(batch, self.constants) for name in self.names}
        total = torch.stack([weight * parts[name] for name, weight in self.weights]).sum()
        return total, parts


def _pair(batch: Embedded) -> tuple[Tensor, Tensor]:
    assert batch.anchor is not None
    assert batch.positive is not None
    return batch.anchor, batch.positive


def _triplets(batch: Embedded) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Unit rows of anchor, positive and negative, and which anchors have one."""
    anchor, positive = (normalize(rows, dim=1) for rows in _pair(batch))
    drawn = batch.drawn_negative
    assert drawn is not None
    assert batch.negatives is not None
    has = batch.negatives.gather(1, drawn[:, None])[:, 0]
    return anchor, positive, positive[drawn], has
