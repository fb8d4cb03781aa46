"""Modules of images as torchvision and timm make them, by `torch:` into the shared space of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from node.encoders import DIMENSIONS, load_encoder
from node.encoders.torch_module import TorchModuleModel
from node.modalities import decode_view, sample_items

MODULES = """
import numpy as np
import torch

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Preset(torch.nn.Module):
    # As torchvision's `weights.transforms()`: a module too, called with a PIL image.
    def forward(self, picture):
        scale = 40 / min(picture.size)
        picture = picture.convert("RGB").resize([round(side * scale) for side in picture.size], 2)
        planes = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
        top, left = (planes.shape[1] - 32) // 2, (planes.shape[2] - 32) // 2
        planes = planes[:, top : top + 32, left : left + 32]
        return (planes - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


class Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = torch.nn.Conv2d(3, 24, 5, stride=2), torch.nn.BatchNorm2d(24)
        self.conv2 = torch.nn.Conv2d(24, 24, 3, padding=1)
        self.fc = torch.nn.Linear(24, 10)

    def forward(self, planes):
        assert planes.shape[1:] == (3, 32, 32), planes.shape
        found = torch.relu(self.bn1(self.conv1(planes)))
        return self.fc((found + torch.relu(self.conv2(found))).mean((2, 3)))


def as_torchvision():
    module = Residual()
    module.fc = torch.nn.Identity()
    module.preprocess = Preset()
    return module


def as_timm():
    module = Residual()
    module.fc = torch.nn.Identity()
    module.pretrained_cfg = {
        "input_size": (3, 32, 32), "mean": MEAN, "std": STD, "interpolation": "bicubic", "crop_pct": 0.9
    }
    return module
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vision") / "vision.py"
    path.write_text(MODULES)
    return path


def pixels() -> list[Any]:
    """Views as a model sees them."""
    return [decode_view("image", item) for item in sample_items("image", count=3)]


@pytest.mark.parametrize("factory", ["as_torchvision", "as_timm"])
def test_factory__is_aligned_and_embeds_a_networks_images(file: Path, factory: str, tmp_path: Path) -> None:
    encoder = load_encoder(f"torch:{file}:{factory}", modality="image", cache_dir=tmp_path)
    items = sample_items("image", count=6)
    rows = encoder.encode(items)
    assert rows.shape == (6, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert np.linalg.matrix_rank(rows - rows.mean(0), tol=1e-3) == 5  # each image its own row
    again = load_encoder(f"torch:{file}:{factory}", modality="image", cache_dir=tmp_path)
    np.testing.assert_allclose(again.encode(items[::-1])[::-1], rows, atol=1e-5)


def test_transforms_of_torchvisions_kind__make_what_the_module_is_called_with(file: Path) -> None:
    model = TorchModuleModel(f"{file}:as_torchvision", modality="image")
    views = pixels()
    rows = model._rows(views)
    module: Any = model._loaded()
    with torch.inference_mode():
        planes = torch.stack([module.preprocess(Image.fromarray(view)) for view in views])
        np.testing.assert_allclose(rows, module(planes).numpy(), atol=1e-5)


def test_configuration_of_timms_kind__makes_what_the_module_is_called_with(file: Path) -> None:
    model = TorchModuleModel(f"{file}:as_timm", modality="image")
    views = pixels()
    rows = model._rows(views)
    module: Any = model._loaded()
    mean, std = (torch.tensor(module.pretrained_cfg[name])[:, None, None] for name in ("mean", "std"))
    with torch.inference_mode():
        for view, row in zip(views, rows, strict=True):
            planes = torch.from_numpy(view).permute(2, 0, 1)[None] / 255
            whole = torch.nn.functional.interpolate(planes, (32, 32), mode="bicubic", antialias=True)
            wanted = module((whole.clamp(0, 1) - mean) / std)[0]
            np.testing.assert_allclose(row, wanted.numpy(), atol=1e-4)


def test_weights__of_a_module_with_transforms_are_its_own_alone(file: Path, tmp_path: Path) -> None:
    model = TorchModuleModel(f"{file}:as_torchvision", modality="image")
    before = model._rows(pixels())
    drawn = torch.Generator().manual_seed(1)
    weights = {
        name: torch.randn(value.shape, generator=drawn) if name.startswith("conv") else value.clone()
        for name, value in model._loaded().state_dict().items()
    }
    path = tmp_path / "w.safetensors"
    save_file(weights, path)
    learnt = TorchModuleModel(f"{file}:as_torchvision?weights={path}", modality="image")
    assert np.abs(learnt._rows(pixels()) - before).max() > 0.1
    torch.testing.assert_close(learnt._loaded().state_dict()["conv1.weight"], weights["conv1.weight"])
