"""What a network has certified as something to train on: the pairs an encoder has gathered."""

from __future__ import annotations

from config.datadir import DataDir
from node.encoders.alignment import Alignment, fit
from node.pairs import PAIRS_MAX, Pairs
from node.store import Access
from node.training.errors import TrainingError
from node.training.models import EmbeddingModel, Lift
from node.training.training_set import TrainingSet

PAIRS_MIN = 256
"""Fewer do not fix a rotation between two spaces."""


def consensus_set(directory: DataDir, modality: str) -> TrainingSet:
    """The pairs of a node's data directory, the newest first. Raises StoreError, TrainingError."""
    with Pairs.open(directory.root, access=Access.READ_ONLY) as pairs:
        items, vectors = pairs.newest(PAIRS_MAX)
    if len(items) < PAIRS_MIN:
        raise TrainingError(
            f"{directory.root} holds {len(items)} pairs, {PAIRS_MIN} are needed: let the encoder run for "
            "more rounds"
        )
    views = tuple(item.decode() if modality == "text" else item for item in items)
    return TrainingSet(modality, views, targets=vectors)


def lift_onto(model: EmbeddingModel, data: TrainingSet) -> None:
    """Give a model that has none the rotation of its space onto the consensus. Raises TrainingError."""
    if model.lift is not None:
        return
    if data.targets is None:
        raise TrainingError("a model is lifted onto a consensus: give --from-consensus")
    device = next(model.parameters()).device
    model.lift = Lift.of(fit(model.embed(data.items), data.targets, Alignment.PROCRUSTES)).to(device)
