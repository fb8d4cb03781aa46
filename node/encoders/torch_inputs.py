"""What a torch module is called with: batches of views of one shape, images resized and normalised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from node.encoders.encoder import EncoderError

Batch = tuple[Sequence[int], Any]
"""Places of the views among those asked for, and what the module is called with."""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """What a module declares of the images it was trained on."""

    height: int
    width: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    mode: str = "bilinear"


def tensor_batches(
    module: torch.nn.Module,
    modality: str,
    views: Sequence[Any],
    size: int,
    device: torch.device | None,
    name: str,
) -> list[Batch]:
    """Views as the module takes them, `size` at most at once. Raises EncoderError.

    Sound and series of one shape go together and are not padded: a view's answer must not depend on what is
    asked beside it.
    """
    preprocess = getattr(module, "preprocess", None)
    if callable(preprocess):
        ready = [preprocess(_picture(view) if modality == "image" else view) for view in views]
        return [
            (places, _stacked([ready[place] for place in places], device, name))
            for places in _cut(range(len(views)), size)
        ]
    if modality in ("text", "bytes"):
        return [(places, [views[place] for place in places]) for places in _cut(range(len(views)), size)]
    declared = declared_image_input(module, name) if modality == "image" else None
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for place, view in enumerate(views):
        by_shape.setdefault(view.shape, []).append(place)
    batches: list[Batch] = []
    for alike in by_shape.values():
        for places in _cut(alike, size):
            tensor = torch.from_numpy(np.stack([views[place] for place in places])).to(device)
            batches.append((places, tensor.float() if declared is None else image_tensor(tensor, declared)))
    return batches


def image_tensor(pixels: torch.Tensor, declared: ImageInput) -> torch.Tensor:
    """uint8 [n, h, w, 3] -> float32 [n, 3, height, width], in [0, 1], then less the mean, over the std.

    The whole image is resized and nothing is cropped, whatever share of it a module was trained to crop: the
    rim of a view is as much a part of it as the middle.
    """
    planes = pixels.permute(0, 3, 1, 2).float() / 255  # [n, 3, h, w]
    if planes.shape[2:] != (declared.height, declared.width):
        sides = (declared.height, declared.width)
        planes = torch.nn.functional.interpolate(planes, sides, mode=declared.mode, antialias=True).clamp(
            0, 1
        )
    mean = torch.tensor(declared.mean, device=planes.device).view(1, -1, 1, 1)
    std = torch.tensor(declared.std, device=planes.device).view(1, -1, 1, 1)
    return (planes - mean) / std


def declared_image_input(module: torch.nn.Module, name: str) -> ImageInput:
    """From `input_size`, `mean` and `std` of the module itself, else of timm's configuration.

    Raises EncoderError where no size is declared: guessing one would embed badly and not say so.
    """
    configuration: dict[str, Any] = {}
    for attribute in ("default_cfg", "pretrained_cfg"):  # timm's; the latter is of the weights
        declared = getattr(module, attribute, None)
        configuration |= declared if isinstance(declared, dict) else {}
    for key in ("input_size", "mean", "std"):
        own = getattr(module, key, None)
        if own is not None:
            configuration[key] = own
    size = configuration.get("input_size")
    if size is None:
        raise EncoderError(
            f"{name} does not say which images it takes: set module.input_size = (3, height, width), "
            "module.mean and module.std in the factory, or module.preprocess"
        )
    try:
        sides = (size, size) if isinstance(size, int) else tuple(int(side) for side in size)[-2:]
        mean = _three(configuration.get("mean", 0.0))
        std = _three(configuration.get("std", 1.0))
        height, width = sides
        mode = "bicubic" if configuration.get("interpolation") == "bicubic" else "bilinear"
        if min(height, width) < 1 or min(std) <= 0:
            raise ValueError(f"sides {height} by {width}, std {std}")
    except (TypeError, ValueError) as error:
        raise EncoderError(
            f"{name} declares no input that can be made ({error}): input_size is (3, height, width), "
            "mean and std are three numbers each"
        ) from None
    return ImageInput(height, width, mean, std, mode)


def _three(given: Any) -> tuple[float, ...]:
    values = tuple(float(one) for one in given) if isinstance(given, Iterable) else (float(given),) * 3
    if len(values) != 3:
        raise ValueError(f"{len(values)} numbers for 3 channels")
    return values


def _stacked(tensors: Sequence[Any], device: torch.device | None, name: str) -> torch.Tensor:
    try:
        return torch.stack([torch.as_tensor(one) for one in tensors]).to(device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise EncoderError(
            f"what preprocess of {name} returns cannot be stacked ({error}): return tensors of one shape"
        ) from None


def _picture(view: NDArray[np.uint8]) -> Any:
    from PIL import Image

    return Image.fromarray(view)


def _cut(places: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (places[start : start + size] for start in range(0, len(places), size))
