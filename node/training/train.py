"""The training itself: epochs of batches, a held-out metric after each, the best weights kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray

from node.training.batches import embed_batch, epoch_batches, places_of
from node.training.checkpoint import NAME as CHECKPOINT_NAME
from node.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from node.training.errors import TrainingError
from node.training.folder import (
    WEIGHTS_BYTES_MAX,
    WEIGHTS_NAME,
    load_weights,
    read_tensors,
    save_model,
)
from node.training.held_out import measure, metric_of
from node.training.log import EpochLine, TrainingLog
from node.training.mixture import Mixture, Need
from node.training.models import EmbeddingModel
from node.training.optimiser import Optimiser
from node.training.positives import Positives
from node.training.training_set import TrainingSet, held_out

EPOCHS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Options:
    """How to train."""

    mixture: Mixture
    positives: Positives = Positives.MASKS
    epochs: int = 20
    batch_items: int = 64
    rate: float = 2e-3
    seed: int = 0
    patience_epochs: int = 5
    """End when the held-out metric has not improved for so long."""

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= EPOCHS_MAX:
            raise TrainingError(f"{self.epochs} epochs: give 1 to {EPOCHS_MAX}")
        if self.batch_items < 2:
            raise TrainingError(f"a batch of {self.batch_items}: losses compare items, give 2 or more")
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise TrainingError(f"a rate of {self.rate}: give one above 0, as 0.002")


def train(
    model: EmbeddingModel,
    data: TrainingSet,
    options: Options,
    folder: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[EpochLine], None] = lambda _: None,
) -> Progress:
    """Train a model, in place, and leave it with the best weights, which the folder holds too.

    Everything is drawn from the seed, the epoch and the batch: with one thread, a training that was ended and
    resumed gives the same bytes as one that was not. Raises TrainingError.
    """
    if options.mixture.needs(Need.TARGETS) and data.targets is None:
        raise TrainingError("distillation needs a consensus: give --from-consensus")
    learning, kept_out = held_out(data, options.seed)
    places = places_of(learning, options.mixture, options.positives)
    places_of(kept_out, options.mixture, options.positives)
    optimiser = Optimiser(model, options.rate)
    folder.mkdir(parents=True, exist_ok=True)
    named = _named(model, data, options)
    progress = Progress()
    if resume:
        progress = read_checkpoint(folder, model, optimiser, named)
    elif (folder / CHECKPOINT_NAME).exists():
        raise TrainingError(f"{folder} holds a training: go on with --resume, or choose another folder")
    log = TrainingLog(folder, options.mixture.names, metric_of(options.mixture).value, progress.epochs_done)
    while progress.epochs_done < options.epochs and not _is_over(progress, options):
        epoch = progress.epochs_done + 1
        loss, parts = _epoch(model, learning, places, options, optimiser, epoch)
        found = measure(model, kept_out, options.mixture, options.positives, options.seed)
        if found > progress.best:
            save_model(folder, model)
            progress = Progress(epoch, found, epoch)
        else:
            progress = Progress(epoch, progress.best, progress.best_epoch)
        line = EpochLine(epoch, loss, parts, found)
        log.add(line)
        # Last: an epoch whose checkpoint was not written is done again, and writes the same.
        write_checkpoint(folder, model, optimiser, progress, named)
        on_epoch(line)
    if progress.best_epoch:
        path = folder / WEIGHTS_NAME
        load_weights(model, read_tensors(path, WEIGHTS_BYTES_MAX), path)
    return progress


def _epoch(
    model: EmbeddingModel,
    data: TrainingSet,
    places: NDArray[np.int64],
    options: Options,
    optimiser: Optimiser,
    epoch: int,
) -> tuple[float, dict[str, float]]:
    losses: list[float] = []
    parts: dict[str, list[float]] = {name: [] for name in options.mixture.names}
    for of_batch, draw in epoch_batches(places, options.batch_items, options.seed, epoch):
        batch = embed_batch(model, data, of_batch, options.mixture, options.positives, draw)
        loss, of_names = options.mixture(batch)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"the loss is no number in epoch {epoch}: train with a lower --rate")
        optimiser.step(loss)
        losses.append(float(loss.detach()))
        for name, value in of_names.items():
            parts[name].append(float(value.detach()))
    return float(np.mean(losses)), {name: float(np.mean(values)) for name, values in parts.items()}


def _is_over(progress: Progress, options: Options) -> bool:
    return progress.epochs_done - progress.best_epoch >= options.patience_epochs


def _named(model: EmbeddingModel, data: TrainingSet, options: Options) -> str:
    """Digest of all that a training depends on but how long it goes on."""
    chosen = {
        **asdict(options),
        "positives": options.positives.value,
        "epochs": None,
        "patience_epochs": None,
        "architecture": msgspec.json.encode(model.made_of).decode(),
    }
    hasher = blake3(repr(sorted(chosen.items())).encode())
    for item in data.items:
        hasher.update(blake3(item.encode() if isinstance(item, str) else item).digest())
    for known in (data.labels, data.recordings, data.targets):
        hasher.update(b"none" if known is None else np.ascontiguousarray(known).tobytes())
    return hasher.hexdigest()
