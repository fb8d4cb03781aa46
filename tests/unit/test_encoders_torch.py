"""Torch modules as models: what they are called with, what comes back, where weights may come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import save_file

from node.encoders import DIMENSIONS, EncoderError, load_encoder
from node.encoders.torch_inputs import ImageInput, declared_image_input, image_tensor, tensor_batches
from node.encoders.torch_module import TorchModuleModel

MODULES = """
import torch
from zlib import crc32

class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(4096, 48)

    def forward(self, views):
        assert not self.training and not torch.is_grad_enabled()
        numbers = [torch.tensor([crc32(word.encode()) % 4096 for word in view.split()]) for view in views]
        return torch.stack([self.table(one).mean(0) for one in numbers])

class Pixels(torch.nn.Module):
    input_size, mean, std = (3, 8, 8), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 5, 3)

    def forward(self, planes):
        return self.layer(planes)

def pixels_by_preprocess():
    module = Pixels()
    module.preprocess = lambda picture: torch.full((3, 8, 8), float(picture.size[0]))
    return module

def flat():
    return torch.nn.Flatten(0)

def undeclared():
    return torch.nn.Conv2d(3, 5, 3)

def number():
    return 7

def fails():
    raise ZeroDivisionError("no module today")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("modules") / "mine.py"
    path.write_text(MODULES)
    return path


def pictures(*sides: tuple[int, int], seed: int = 0) -> list[NDArray[np.uint8]]:
    drawn = np.random.default_rng(seed)
    return [drawn.integers(0, 256, (*pair, 3), dtype=np.uint8) for pair in sides]


def rows_of(model: TorchModuleModel, views: list[Any]) -> NDArray[np.float32]:
    """What a model answers to views as it sees them."""
    return model._rows(views)


# -- modules -----------------------------------------------------------------------------------------------


def test_module_of_text__is_aligned_and_is_the_same_after_a_restart(file: Path, tmp_path: Path) -> None:
    views = ["winter rain on a tin roof", "a second view"]
    rows = load_encoder(f"torch:{file}:Words", cache_dir=tmp_path).encode(views)
    assert rows.shape == (2, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    torch.rand(3)  # whatever else draws numbers
    again = load_encoder(f"torch:{file}:Words", cache_dir=tmp_path)
    np.testing.assert_allclose(again.encode(views), rows, atol=1e-6)
    assert len([*tmp_path.iterdir()]) == 1


def test_module_of_images__is_called_with_planes_and_pooled(file: Path) -> None:
    views = pictures((16, 16), (32, 16), (16, 16))
    model = TorchModuleModel(f"{file}:Pixels", modality="image")
    rows = rows_of(model, views)
    module = model._loaded()
    with torch.inference_mode():
        planes = [
            image_tensor(torch.from_numpy(view)[None], ImageInput(8, 8, (0.5,) * 3, (0.25,) * 3))
            for view in views
        ]
        wanted = torch.cat([module(one) for one in planes]).mean((2, 3))
    np.testing.assert_allclose(rows, wanted.numpy(), atol=1e-5)
    assert model.dimensions == 5
    assert model.fingerprint() == TorchModuleModel(f"{file}:Pixels", modality="image").fingerprint()


def test_preprocess__of_a_module_gets_a_picture_and_takes_the_place_of_the_rest(file: Path) -> None:
    model = TorchModuleModel(f"{file}:pixels_by_preprocess", modality="image")
    rows = rows_of(model, pictures((16, 48), (16, 16)))
    module = model._loaded()
    with torch.inference_mode():
        wanted = module(torch.stack([torch.full((3, 8, 8), 48.0), torch.full((3, 8, 8), 16.0)])).mean((2, 3))
    np.testing.assert_allclose(rows, wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("factory", "modality", "why"),
    [
        ("flat", "image", "does not say which images it takes: set module.input_size"),
        ("undeclared", "image", "does not say which images it takes"),
        ("number", "text", "number returned int: return a torch.nn.Module"),
        ("fails", "text", "failed: ZeroDivisionError: no module today"),
        ("nothing", "text", "has no function 'nothing'"),
        ("flat", "text", "flat failed: AttributeError"),
        ("flat", "series", r"returned a tensor of shape \(128,\) for 2 views: return a tensor \(2, d\)"),
    ],
)
def test_wrong_module__is_told_in_words(file: Path, factory: str, modality: str, why: str) -> None:
    views: list[Any] = {"text": ["a", "b"], "image": pictures((16, 16), (16, 16))}.get(
        modality, [np.zeros((64, 1), np.float32)] * 2
    )
    with pytest.raises(EncoderError, match=why):
        rows_of(TorchModuleModel(f"{file}:{factory}", modality=modality), views)


@pytest.mark.parametrize("target", ["m:f?weights=", "m:f?device=cuda", "m:f?"])
def test_target__with_anything_but_weights_is_refused(target: str) -> None:
    with pytest.raises(EncoderError, match=r"write torch:package\.module:factory\?weights=FILE"):
        TorchModuleModel(target)


# -- inputs ------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([16, 32, 48]), min_size=1, max_size=9), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_batches__hold_every_view_once_and_no_view_depends_on_its_neighbours(
    sides: list[int], size: int, seed: int
) -> None:
    module = torch.nn.Identity()
    module.input_size = (3, 16, 16)  # type: ignore[assignment]
    views = pictures(*((side, 16) for side in sides), seed=seed)
    batches = tensor_batches(module, "image", views, size, None, "mine")
    assert sorted(place for places, _ in batches for place in places) == list(range(len(views)))
    for places, tensor in batches:
        assert 1 <= len(places) <= size
        for place, planes in zip(places, tensor, strict=True):
            ((_, alone),) = tensor_batches(module, "image", [views[place]], size, None, "mine")
            torch.testing.assert_close(planes, alone[0])


@pytest.mark.parametrize("modality", ["audio", "series"])
def test_sound_and_series__of_one_shape_go_together_unpadded(modality: str) -> None:
    shapes = [(64, 2), (32, 2), (64, 2)] if modality == "series" else [(2048,), (4096,), (2048,)]
    views = [np.full(shape, place, np.float32) for place, shape in enumerate(shapes)]
    batches = tensor_batches(torch.nn.Identity(), modality, views, 64, None, "mine")
    assert [(list(places), tuple(tensor.shape)) for places, tensor in batches] == [
        ([0, 2], (2, *shapes[0])),
        ([1], (1, *shapes[1])),
    ]


def test_image__of_the_declared_size_is_scaled_and_normalised() -> None:
    pixels = torch.full((1, 4, 4, 3), 255, dtype=torch.uint8)
    planes = image_tensor(pixels, ImageInput(4, 4, (0.5, 0.0, 1.0), (0.5, 1.0, 2.0)))
    torch.testing.assert_close(planes[0, :, 0, 0], torch.tensor([1.0, 1.0, 0.0]))


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"input_size": 32}, ImageInput(32, 32)),
        ({"input_size": (16, 32)}, ImageInput(16, 32)),
        (
            {"input_size": (3, 16, 32), "mean": 0.5, "std": [1, 2, 3]},
            ImageInput(16, 32, (0.5,) * 3, (1.0, 2.0, 3.0)),
        ),
        (
            {"pretrained_cfg": {"input_size": (3, 224, 224), "mean": (0.4,) * 3, "interpolation": "bicubic"}},
            ImageInput(224, 224, (0.4,) * 3, mode="bicubic"),
        ),
        (
            {"default_cfg": {"input_size": (3, 8, 8)}, "pretrained_cfg": {"input_size": (3, 9, 9)}},
            ImageInput(9, 9),
        ),
    ],
)
def test_declared_input__is_the_modules_own_or_timms(attributes: dict[str, Any], wanted: ImageInput) -> None:
    module = torch.nn.Identity()
    for name, value in attributes.items():
        setattr(module, name, value)
    assert declared_image_input(module, "mine") == wanted


@pytest.mark.parametrize(
    "attributes", [{"input_size": "large"}, {"input_size": (3, 0, 8)}, {"input_size": 8, "std": (1, 2)}]
)
def test_declared_input__that_cannot_be_made_is_told(attributes: dict[str, Any]) -> None:
    module = torch.nn.Identity()
    for name, value in attributes.items():
        setattr(module, name, value)
    with pytest.raises(EncoderError, match="declares no input that can be made"):
        declared_image_input(module, "mine")


# -- weights -----------------------------------------------------------------------------------------------


def test_weights__are_those_of_the_file(file: Path, tmp_path: Path) -> None:
    table = torch.randn(4096, 48, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "w.safetensors"
    save_file({"table.weight": table}, path)
    model = TorchModuleModel(f"{file}:Words?weights={path}")
    rows_of(model, ["a view"])
    torch.testing.assert_close(model._loaded().state_dict()["table.weight"], table)
    assert model.fingerprint() != TorchModuleModel(f"{file}:Words").fingerprint()


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt", "pkl"])
def test_pickle__is_refused_unread_with_the_command_that_converts_it(
    file: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"w.{suffix}"
    torch.save({"table.weight": torch.zeros(4096, 48)}, path)
    with pytest.raises(EncoderError, match="can run code when they are loaded; convert it") as refused:
        rows_of(TorchModuleModel(f"{file}:Words?weights={path}"), ["a"])
    command = str(refused.value).splitlines()[1].strip()
    code = command.removeprefix('python -c "').removesuffix('"')
    exec(compile(code, "command", "exec"), {})  # the very command that is told
    rows = rows_of(TorchModuleModel(f"{file}:Words?weights={path.with_suffix('.safetensors')}"), ["a"])
    np.testing.assert_array_equal(rows, np.zeros((1, 48), np.float32))


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"table.other": (1,)}, r"table\.weight missing; table\.other left over"),
        ({"table.weight": (4096, 8)}, r"table\.weight \(4096, 8\) for \(4096, 48\) of another shape"),
        ({f"k{n}": (1,) for n in range(8)}, r"k0, k1, k2, k3, k4 and 3 more left over"),
    ],
)
def test_weights_of_another_module__are_refused_with_the_keys(
    file: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]], why: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_file({key: torch.zeros(shape) for key, shape in tensors.items()}, path)
    with pytest.raises(EncoderError, match=why):
        rows_of(TorchModuleModel(f"{file}:Words?weights={path}"), ["a"])


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("w.safetensors", b"\xff" * 64, "cannot be read as safetensors"),
        ("gone.safetensors", None, "there are no weights at"),
        ("w.onnx", b"", r"read from \.safetensors only, and w\.onnx is none"),
    ],
)
def test_weights_that_cannot_be_read__are_told(
    file: Path, tmp_path: Path, name: str, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EncoderError, match=why):
        rows_of(TorchModuleModel(f"{file}:Words?weights={tmp_path / name}"), ["a"])
