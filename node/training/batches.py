"""The batches of an epoch: a pure function of the seed and the epoch, so that training can resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from node.training.masking import split_of
from node.training.mixture import Embedded, Mixture, Need
from node.training.models import EmbeddingModel, View
from node.training.positives import Positives, draw_pairs, usable
from node.training.training_set import TrainingSet

HELD_OUT_EPOCH: Final = 0xFFFF_FFFF
"""The held-out items are always masked and paired as in this epoch."""


def places_of(data: TrainingSet, mixture: Mixture, source: Positives) -> NDArray[np.int64]:
    """The items that can be trained on. Raises TrainingError."""
    return usable(data, source) if mixture.needs(Need.PAIRS) else np.arange(len(data))


def epoch_batches(
    places: NDArray[np.int64], batch_items: int, seed: int, epoch: int
) -> Iterator[tuple[NDArray[np.int64], np.random.Generator]]:
    """(places of a batch, its own randomness); a remainder joins the last batch, no batch is of one item."""
    draw = np.random.default_rng((seed, epoch))
    order = places[draw.permutation(len(places))]
    cuts = range(batch_items, len(order) - max(2, batch_items // 2) + 1, batch_items)
    for index, part in enumerate(np.split(order, list(cuts))):
        yield part, np.random.default_rng((seed, epoch, index))


def embed_batch(
    model: EmbeddingModel,
    data: TrainingSet,
    places: NDArray[np.int64],
    mixture: Mixture,
    source: Positives,
    draw: np.random.Generator,
) -> Embedded:
    """What the losses of a mixture look at, by one pass of the model. Raises TrainingError."""
    device = next(model.parameters()).device
    groups: dict[str, list[View]] = {}
    negatives = drawn = share = targets = None
    if mixture.needs(Need.PAIRS):
        pairs = draw_pairs(data, places, source, draw)
        groups |= {"anchor": pairs.anchors, "positive": pairs.positives}
        negatives = torch.from_numpy(pairs.negatives).to(device)
        drawn = torch.from_numpy(_one_negative(pairs.negatives, draw)).to(device)
    if mixture.needs(Need.SPLIT) or mixture.needs(Need.TARGETS):
        groups["full"] = [data.items[place] for place in places]
    if mixture.needs(Need.SPLIT):
        split = [split_of(data.modality, data.items[place], draw) for place in places]
        groups |= {"mask": [one.mask for one in split], "inverse": [one.inverse for one in split]}
        share = torch.tensor([one.share for one in split], device=device)
    if mixture.needs(Need.TARGETS):
        assert data.targets is not None
        targets = torch.from_numpy(data.targets[places]).to(device)
    rows = model([view for views in groups.values() for view in views])
    embedded = dict(zip(groups, rows.split([len(views) for views in groups.values()]), strict=True))
    return Embedded(**embedded, negatives=negatives, drawn_negative=drawn, share=share, targets=targets)


def _one_negative(negatives: NDArray[np.bool_], draw: np.random.Generator) -> NDArray[np.int64]:
    """[n] a negative of each, drawn among its own; its own place where it has none."""
    weight = draw.random(negatives.shape) * negatives
    chosen = weight.argmax(axis=1)
    return np.where(negatives.any(axis=1), chosen, np.arange(len(negatives))).astype(np.int64)
