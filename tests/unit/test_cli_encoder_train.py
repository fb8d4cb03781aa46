"""`deltamesh encoder train`: what it writes, what it refuses, and that its model can be run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from config.errors import ConfigError
from config.settings import load_settings
from node.cli.errors import ExitCode
from node.encoders.models import own_model
from node.run import learnt_folder
from node.training.data import architecture_for, load_training_set
from node.training.errors import TrainingError
from node.training.models import StepNet
from tests.support.cli import deltamesh, directory_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty short texts."""
    themes = ("the cold north sea wind", "a red brick house in town", "old maps of the deep forest")
    lines = [
        {"text": f"{themes[n % 3]} number {n} said {n * 3} times over again and {n} more"} for n in range(60)
    ]
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_encoder_train__writes_a_model_that_runs(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "model"
    words = ("encoder", "train", "--data", str(folder), "--out", str(out), "--epochs", "2", "--batch", "16")
    ended = deltamesh(
        *words, "--loss", "infonce=1", "--loss", "differential=0.3", "--positives", "gaps", "--json"
    )
    assert ended.code == ExitCode.OK
    document = json.loads(ended.out)
    assert document["model"] == f"trained:{out}"
    assert document["epochs"] == 2
    model = own_model(document["model"], 1)
    assert model is not None
    assert model.embed(["the cold sea"]).shape == (1, 256)
    assert (out / "training.csv").read_text().startswith("epoch,loss,infonce,differential,mrr\n1,")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--loss", "infonse=1"], ExitCode.BAD_INPUT, "there is no loss 'infonse'"),
        (["--positives", "dreams"], ExitCode.USAGE, "labels, masks, windows, gaps"),
        (["--positives", "labels"], ExitCode.BAD_INPUT, "the data have no labels"),
        (["--modality", "smell"], ExitCode.BAD_INPUT, "choose text, image, series"),
        (["--data", "nowhere.jsonl"], ExitCode.BAD_INPUT, "does not exist"),
        (["--loss", "distillation=1"], ExitCode.BAD_INPUT, "--from-consensus"),
        (["--device", "abacus"], ExitCode.USAGE, "auto, cpu or cuda"),
        (["--resume"], ExitCode.BAD_INPUT, "cannot be read"),
    ],
)
def test_encoder_train__says_what_is_wrong(
    tmp_path: Path, folder: Path, words: list[str], code: ExitCode, said: str
) -> None:
    given = [] if "--data" in words or "--modality" in words else ["--data", str(folder)]
    ended = deltamesh("encoder", "train", "--out", str(tmp_path / "model"), *given, *words)
    assert ended.code == code
    assert said in ended.err


def test_learnt_folder__is_only_of_a_model_that_can_learn(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)

    def of(**flags: object) -> Path | None:
        return learnt_folder(load_settings({"home": tmp_path, **flags}, {}), directory)

    assert of(model="ngram") is None
    assert of(model="trained:mine", learn=True) == directory.root / "learnt"
    with pytest.raises(ConfigError, match="encoder train"):
        of(model="ngram", learn=True)


def test_load_training_set__labels_images_by_their_folder(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        for number in range(3):
            pixels = draw.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = load_training_set("image", str(tmp_path))
    assert len(data) == 6
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_load_training_set__takes_each_file_of_a_series_as_a_recording(tmp_path: Path) -> None:
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", np.random.default_rng(number).normal(size=(512, 2)))
    data = load_training_set("series", str(tmp_path))
    assert data.recordings is not None
    assert set(data.recordings.tolist()) == {0, 1}
    assert data.labels is None
    assert architecture_for(data) == StepNet(channels=2)
    np.save(tmp_path / "2.npy", np.random.default_rng(2).normal(size=(512, 3)))
    with pytest.raises(TrainingError, match="channels"):
        architecture_for(load_training_set("series", str(tmp_path)))
