"""A checkpoint: all that the rest of the training depends on, in one file, after each epoch."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from safetensors.torch import save
from torch import Tensor

from node.training.errors import TrainingError
from node.training.folder import WEIGHTS_BYTES_MAX, load_weights, read_tensors, write_atomically
from node.training.models import EmbeddingModel
from node.training.optimiser import Optimiser

NAME: Final = "checkpoint.safetensors"
_MODEL, _OPTIMISER = "model.", "optimiser."
_HEADER_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is."""

    epochs_done: int = 0
    best: float = float("-inf")
    """The best held-out metric so far."""
    best_epoch: int = 0


class _Written(msgspec.Struct, frozen=True):
    epochs_done: Annotated[int, msgspec.Meta(ge=0)]
    best: str
    best_epoch: int
    options: str


def write_checkpoint(
    folder: Path, model: EmbeddingModel, optimiser: Optimiser, progress: Progress, options: str
) -> None:
    """Write it over the last one, atomically. `options` is what it may only be taken up with."""
    tensors: dict[str, Tensor] = {
        f"{_MODEL}{name}": tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    tensors |= optimiser.tensors()
    # The exact float, as text: it is compared with later ones.
    written = _Written(progress.epochs_done, progress.best.hex(), progress.best_epoch, options)
    metadata = {"training": msgspec.json.encode(written).decode()}
    write_atomically(folder / NAME, save(tensors, metadata))


def read_checkpoint(folder: Path, model: EmbeddingModel, optimiser: Optimiser, options: str) -> Progress:
    """Take a training up where it was. Raises TrainingError for another training's checkpoint, or none."""
    path = folder / NAME
    tensors = read_tensors(path, 4 * WEIGHTS_BYTES_MAX)
    written = _metadata(path)
    if written.options != options:
        raise TrainingError(
            f"{path} is of a training with other options or data: repeat them, or train into another folder"
        )
    weights = {name.removeprefix(_MODEL): one for name, one in tensors.items() if name.startswith(_MODEL)}
    load_weights(model, weights, path)
    optimiser.load({name: one for name, one in tensors.items() if name.startswith(_OPTIMISER)})
    return Progress(written.epochs_done, float.fromhex(written.best), written.best_epoch)


def _metadata(path: Path) -> _Written:
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > _HEADER_BYTES_MAX:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(file.read(size))
        return msgspec.json.decode(header["__metadata__"]["training"], type=_Written)
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise TrainingError(f"{path} is no checkpoint ({error}): train without --resume") from None
