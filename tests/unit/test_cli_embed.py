"""`deltamesh embed`: what the network answers, on the screen, as JSON and in a file; what is refused."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from node.cli import embed
from node.cli.errors import ExitCode
from node.client import Cache, Client
from tests.support.cli import deltamesh
from tests.support.lying_api import at
from tests.support.told_by_api import ToldByApi, world

TRUST = ["--network-id", world().network_id.hex()]


@pytest.fixture(autouse=True)
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToldByApi:
    """The API the command asks; no node of whoever runs the tests is read."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    told = ToldByApi()

    def asking(
        url: str, token: str | None, network_id: bytes | None = None, genesis: object = None
    ) -> Client:
        assert url == "http://127.0.0.1:7780"
        return Client(
            url, token, network_id=network_id, cache=Cache.NONE, transport=httpx.MockTransport(told)
        )

    monkeypatch.setattr(embed, "asking", asking)
    return told


def test_known_texts__are_embedded_at_once_and_verified(tmp_path: Path) -> None:
    texts = [item.decode() for item in world().batches[-1].items[:2]]
    told = deltamesh("embed", *texts, "--verify", *TRUST, "--json")
    assert told.code == 0, told.err
    assert told.json["verified"] is True
    assert [row["text"] for row in told.json["embeddings"]] == texts
    assert all(len(row["vector"]) == 1024 for row in told.json["embeddings"])
    assert "become" in told.err
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n\n")
    written = deltamesh("embed", "-f", tmp_path / "texts.txt", "--to", tmp_path / "v.npz")
    assert written.code == 0, written.err
    with np.load(tmp_path / "v.npz") as file:
        assert file["vectors"].dtype == np.float32
        assert file["vectors"].tolist() == [row["vector"] for row in told.json["embeddings"]]
        assert list(file["text"]) == texts
    table = deltamesh("embed", texts[0]).out
    assert "not verified" in table
    assert told.json["embeddings"][0]["certificate"][:16] in table


def test_files__are_sent_as_they_are_and_named_in_what_is_written(
    told: ToldByApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The API's end of it: each input is a file in base64. What this world knows are texts.
    of_texts = told.embeddings

    def of_files(given: list[str]) -> dict[str, Any]:
        return of_texts([b64decode(one).decode() for one in given])

    monkeypatch.setattr(told, "embeddings", of_files)
    items = [item.decode() for item in world().batches[-1].items[:2]]
    names = [str(tmp_path / name) for name in ("one.png", "two.png")]
    for name, item in zip(names, items, strict=True):
        Path(name).write_text(item)
    known = of_texts(items)
    asked = deltamesh("embed", "--files", *names, "--json")
    assert asked.code == 0, asked.err
    assert "2 files" in asked.err
    assert [row["path"] for row in asked.json["embeddings"]] == names
    assert [row["item_id"] for row in asked.json["embeddings"]] == [
        item["item_id"] for item in known["deltamesh"]["items"]
    ]
    written = deltamesh("embed", "--files", *names, "--to", tmp_path / "v.npz")
    assert written.code == 0, written.err
    with np.load(tmp_path / "v.npz") as file:
        assert file["vectors"].tolist() == [row["vector"] for row in asked.json["embeddings"]]
        assert list(file["path"]) == names
        assert "text" not in file
    monkeypatch.chdir(tmp_path)
    assert "one.png" in deltamesh("embed", "--files", "one.png").out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "nothing to embed"),
        (["--files"], "nothing to embed"),
        (["--files", "/nowhere/at.all"], "/nowhere/at.all cannot be read"),
        (["--files", "x.png", "-f", "texts.txt"], "a file of texts"),
        (["x", "--to", "v.csv"], "should end in .npz"),
        (["-f", "/nowhere/at.all"], "cannot be read"),
        (["x", "--verify"], "which network you trust"),
    ],
)
def test_embed_that_cannot_be__is_one_sentence(arguments: list[str], why: str) -> None:
    assert why in deltamesh("embed", *arguments).error


def test_vector_that_is_not_the_certified_one__is_refused_and_nothing_written(
    told: ToldByApi, tmp_path: Path
) -> None:
    asked, other = (item.decode() for item in world().batches[-1].items[:2])
    honest, elsewhere = ToldByApi().embeddings([asked]), ToldByApi().embeddings([other])
    told.lie = at("/embeddings", lambda _: {**honest, "data": elsewhere["data"]})
    ended = deltamesh("embed", asked, "--verify", *TRUST, "--to", tmp_path / "v.npz")
    assert (ended.code, "vector: " in ended.error) == (ExitCode.REFUSED, True)
    assert not (tmp_path / "v.npz").exists()
    assert deltamesh("embed", asked).code == 0, "who does not verify does not see it"
