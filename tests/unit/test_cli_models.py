"""`deltamesh models`: what there is, whether one's own would be heard, how fast it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.cli.errors import ExitCode
from node.encoders import ENCODER_NAMES
from node.encoders.built_in import REFERENCES, encoder_names
from node.encoders.models import KINDS
from tests.support.cli import deltamesh

MODELS = """
import numpy as np
from zlib import crc32

def words(views):
    rows = np.zeros((len(views), 200), np.float32)
    for row, view in zip(rows, views):
        for word in view.lower().split():
            row += np.random.default_rng(crc32(word.encode())).normal(size=200)
    return rows

def noise(views):
    return np.random.default_rng().normal(size=(len(views), 64))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "mine.py"
    path.write_text(MODELS)
    return path


def test_list__names_every_model_and_every_way_to_bring_ones_own() -> None:
    ended = deltamesh("models", "list", "--json")
    named = [row["model"] for row in ended.json]
    assert named == [*ENCODER_NAMES, *(kind.form for kind in KINDS.values())]
    shown = deltamesh("models", "list").out
    assert all(name in shown for name in named)


@pytest.mark.slow
def test_check__scores_a_function_beside_the_built_in_models(file: Path) -> None:
    ended = deltamesh("models", "check", f"{file}:words", "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert set(found["scores"]) == {
        f"{file}:words",
        "wordllama-256",
        "wordllama-128",
        "wordllama-64",
        "ngram",
    }
    assert found["scores"]["wordllama-256"] > found["scores"][f"{file}:words"] > 0
    assert (found["repeats"], found["withheld"], found["asked"], found["faults"]) == (True, 0, 384, [])


@pytest.mark.slow
def test_check__says_why_noise_would_not_be_heard(file: Path) -> None:
    ended = deltamesh("models", "check", f"{file}:noise")
    assert ended.code == ExitCode.BAD_INPUT
    assert "its score is 0; the same view gets another answer each time" in ended.error


TEXTURES = """
import torch

class Textures(torch.nn.Module):
    input_size = (3, 64, 64)

    def __init__(self):
        super().__init__()
        self.waves = torch.nn.Conv2d(3, 256, 1)
        torch.nn.init.normal_(self.waves.weight, std=6.0)
        torch.nn.init.uniform_(self.waves.bias, 0, 6.3)

    def forward(self, planes):
        planes = torch.nn.functional.avg_pool2d(planes, 4)
        # Masked patches are grey, 128 of 255, and say nothing: they stay out of the mean.
        shown = ((planes - 128 / 255).abs().amax(1, keepdim=True) > 1e-3).float()
        found = torch.cos(self.waves(planes)) * shown
        return found.sum((2, 3)) / shown.sum((2, 3)).clamp_min(1)
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_check__scores_a_torch_module_of_images_beside_those_that_are_built_in(tmp_path: Path) -> None:
    path = tmp_path / "textures.py"
    path.write_text(TEXTURES)
    ended = deltamesh("models", "check", f"torch:{path}:Textures", "--modality", "image", "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert set(found["scores"]) == {f"torch:{path}:Textures", *encoder_names("image")}
    assert found["reference"] == REFERENCES["image"]
    assert found["scores"][f"torch:{path}:Textures"] > 0


@pytest.mark.slow
def test_bench__times_both_ways(file: Path) -> None:
    ended = deltamesh("models", "bench", f"{file}:words", "--repeat", 1, "--json")
    assert ended.code == 0, ended.err
    assert [row["batch"] for row in ended.json["batches"]] == [1, 16, 64, 256]
    assert all(
        row["model"] > 0 and row["aligned"] > 0 and row["process"] > 0 for row in ended.json["batches"]
    )
