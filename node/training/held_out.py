"""How good a model is on what it was not trained on: one number, the larger the better."""

from __future__ import annotations

from enum import Enum
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from node.training.batches import HELD_OUT_EPOCH, embed_batch, places_of
from node.training.mixture import Embedded, Mixture, Need
from node.training.models import EmbeddingModel
from node.training.positives import Positives
from node.training.training_set import TrainingSet

AT_ONCE: Final = 256


class Metric(Enum):
    """What is measured, by what was trained."""

    AGREEMENT = "agreement"
    """Mean cosine with the consensus, the own mean taken off: where there is distillation."""
    RECIPROCAL_RANK = "mrr"
    """Mean reciprocal rank of an anchor's positive among those of its negatives: where there are pairs."""
    LOSS = "minus-loss"
    """Where neither is there."""


def metric_of(mixture: Mixture) -> Metric:
    """The metric that fits a mixture."""
    if mixture.needs(Need.TARGETS):
        return Metric.AGREEMENT
    return Metric.RECIPROCAL_RANK if mixture.needs(Need.PAIRS) else Metric.LOSS


@torch.no_grad()
def measure(
    model: EmbeddingModel, data: TrainingSet, mixture: Mixture, source: Positives, seed: int
) -> float:
    """The metric over all items of `data`; masks and pairs are the same at every call with the same seed."""
    metric = metric_of(mixture)
    if metric is Metric.AGREEMENT:
        return agreement(model.embed(data.items), data.targets)
    places = places_of(data, mixture, source)
    found, counts = [], []
    for index, part in enumerate(np.split(places, range(AT_ONCE, len(places), AT_ONCE))):
        draw = np.random.default_rng((seed, HELD_OUT_EPOCH, index))
        batch = embed_batch(model, data, part, mixture, source, draw)
        found.append(
            _reciprocal_rank(batch) if metric is Metric.RECIPROCAL_RANK else -float(mixture(batch)[0])
        )
        counts.append(len(part))
    return float(np.average(found, weights=counts))


def agreement(rows: NDArray[np.float32], targets: NDArray[np.float32] | None) -> float:
    """Mean cosine of answers [n, d] with a consensus [n, d], the answers' own mean taken off."""
    assert targets is not None
    own, consensus = torch.from_numpy(rows), torch.from_numpy(targets)
    own = normalize(own - own.mean(dim=0), dim=1)
    return float((own * normalize(consensus, dim=1)).sum(dim=1).mean())


def _reciprocal_rank(batch: Embedded) -> float:
    assert batch.anchor is not None
    assert batch.positive is not None
    assert batch.negatives is not None
    cosines: Tensor = normalize(batch.anchor, dim=1) @ normalize(batch.positive, dim=1).T  # [n, n]
    # Ties count against the model: one that gives everything the same vector finds nothing.
    before = (cosines >= cosines.diagonal()[:, None]) & batch.negatives
    return float((1.0 / (1 + before.sum(dim=1))).mean())
