"""A trained model as a folder: its architecture as JSON, its weights as safetensors. Never a pickle."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Final

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from node.encoders.encoder import DIMENSIONS
from node.training.errors import TrainingError
from node.training.models import Architecture, EmbeddingModel, Lift, build_model

CARD_NAME: Final = "model.json"
WEIGHTS_NAME: Final = "weights.safetensors"
WEIGHTS_BYTES_MAX: Final = 8 << 30
CARD_BYTES_MAX: Final = 64 << 10


class ModelCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the JSON says."""

    architecture: Architecture
    is_lifted: bool
    """Whether its rows lie in the shared space: it has learnt from a network and is not aligned again."""
    format: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


def save_model(folder: Path, model: EmbeddingModel) -> None:
    """Write a model, weights first and each file atomically. Raises TrainingError."""
    card = ModelCard(model.made_of, model.lift is not None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder} cannot be made ({error.strerror}): choose another folder") from error
    write_atomically(folder / WEIGHTS_NAME, save(_flat(model)))
    write_atomically(folder / CARD_NAME, msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")


def load_model(folder: Path) -> EmbeddingModel:
    """The model of a folder. Raises TrainingError where it is none, or its files do not fit each other."""
    card = read_card(folder)
    model = build_model(card.architecture)
    if card.is_lifted:
        model.lift = Lift.empty(card.architecture.dimensions, DIMENSIONS)
    path = folder / WEIGHTS_NAME
    load_weights(model, read_tensors(path, WEIGHTS_BYTES_MAX), path)
    return model


def read_card(folder: Path) -> ModelCard:
    """What a model is, without its weights. Raises TrainingError."""
    path = folder / CARD_NAME
    try:
        return msgspec.json.decode(_read(path, CARD_BYTES_MAX), type=ModelCard)
    except msgspec.DecodeError as error:
        raise TrainingError(
            f"{path} describes no model ({error}): train one with `deltamesh encoder train`"
        ) from None


def load_weights(model: EmbeddingModel, tensors: dict[str, Tensor], source: Path) -> None:
    """Put the tensors of `source` into a model. Raises TrainingError where they do not fit."""
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if wanted != found:
        wrong = next(name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name))
        raise TrainingError(
            f"{source} does not fit the model beside it ({wrong}: {found.get(wrong)} in place of "
            f"{wanted.get(wrong)}): train it again"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise TrainingError(f"{source} holds no numbers in {name}: train it again with a lower --rate")
    model.load_state_dict(tensors)


def read_tensors(path: Path, size_bytes_max: int) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises TrainingError."""
    try:
        found: dict[str, Tensor] = load(_read(path, size_bytes_max))
    except (SafetensorError, ValueError, KeyError) as error:
        raise TrainingError(f"{path} is no safetensors file ({error}): train the model again") from None
    return found


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises TrainingError."""
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".train-", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
        finally:
            Path(scratch).unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be written ({error.strerror}): check its folder and the free space"
        ) from error


def _flat(model: EmbeddingModel) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def _read(path: Path, size_bytes_max: int) -> bytes:
    try:
        if path.stat().st_size > size_bytes_max:
            raise TrainingError(f"{path} is larger than {size_bytes_max} bytes: it is no file of a model")
        return path.read_bytes()
    except OSError as error:
        raise TrainingError(
            f"{path} cannot be read ({error.strerror}): give the folder that `deltamesh encoder train` wrote"
        ) from error
