"""`deltamesh encoder eval`: tables, JSON, CSV, pictures, and what it says of mistakes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from config.genesis import save_genesis
from node.cli.encoder_eval_rows import opening_of
from node.cli.errors import CommandError, ExitCode
from node.encoders.own_alignment import Target
from node.evaluation.exam import METRICS
from node.evaluation.models import Opening, Space
from node.store import EmbeddingRecord, Store
from protocol.items import item_id
from tests.support.certified_history import certified_history, record
from tests.support.cli import Ended, deltamesh, directory_of

MODEL = """
import zlib
import numpy as np

def encode(views):
    rows = np.zeros((len(views), 32), np.float32)
    for row, view in zip(rows, views):
        for word in view.split():
            row[zlib.crc32(word.encode()) % 32] += 1
    return rows
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with labelled texts and a model of one's own."""
    folder = tmp_path_factory.mktemp("evaluation")
    rows = [
        {"text": " ".join(f"{'ab'[n % 2]}{(n + k) % 7}" if k % 2 else f"own{n}x{k}" for k in range(20))}
        | {"label": "ab"[n % 2]}
        for n in range(40)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "mine.py").write_text(MODEL, encoding="utf-8")
    return folder


def evaluated(place: Path, *more: object) -> Ended:
    model = f"{place / 'mine.py'}:encode"
    common = ("--native", "--data", place / "rows.jsonl", "--cache", place / "cache")
    return deltamesh("encoder", "eval", model, *common, *more)


def test_evaluation__is_a_table_with_baselines(place: Path) -> None:
    ended = evaluated(place)
    assert ended.code == 0, ended.err
    assert "40 items of 2 classes" in ended.out
    for words in ("mine.py:encode", "random rows", "byte hash", "mask MRR", "1-NN", "G", "±"):
        assert words in ended.out


def test_evaluation__as_json_has_every_figure_with_its_interval(place: Path) -> None:
    found = evaluated(place, "--json").json
    assert [row["space"] for row in found["rows"]] == ["native", "baseline", "baseline"]
    mine = found["rows"][0]
    assert set(mine["figures"]) == {name for name in METRICS if not name.startswith("caption")}
    for figure in mine["figures"].values():
        assert figure["low"] <= figure["high"]
    assert mine["figures"]["nearest"]["value"] > 0.8


def test_evaluation__as_csv_has_the_figures_of_the_json(place: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(evaluated(place, "--csv").out)))
    found = evaluated(place, "--json").json["rows"]
    assert [row["model"] for row in rows] == [row["model"] for row in found]
    value = found[0]["figures"]["triplets"]["value"]
    assert float(rows[0]["triplets"]) == pytest.approx(value, rel=1e-4)
    assert float(rows[0]["triplets_low"]) < value


def test_evaluation__draws_and_saves(place: Path) -> None:
    assert evaluated(place, "--picture", place / "map.svg").code == 0
    assert (place / "map.svg").read_text().startswith("<svg")
    ended = deltamesh(
        "encoder", "eval", "--data", place / "rows.jsonl", "--save-items", place / "saved.jsonl"
    )
    assert (ended.code, ended.out) == (0, "")
    assert len((place / "saved.jsonl").read_text().splitlines()) == 40


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--json", "--csv"), ExitCode.USAGE, "say one of them"),
        (("--modality", "smell"), ExitCode.BAD_INPUT, "use one of text"),
        (("--data", "nowhere.jsonl"), ExitCode.BAD_INPUT, "does not exist"),
        (("--consensus", "nowhere.parquet"), ExitCode.BAD_INPUT, "is no export of embeddings"),
        (("--consensus", "nowhere", "--home", "nowhere"), ExitCode.NODE_STATE, "there is no node in"),
    ],
)
def test_mistakes__are_one_sentence(
    place: Path, arguments: tuple[str, ...], code: ExitCode, sentence: str
) -> None:
    ended = evaluated(place, *arguments)
    assert (ended.code, sentence in ended.error) == (code, True), ended.error


def test_consensus_of_a_network__is_a_row_on_the_items_that_were_published(tmp_path: Path) -> None:
    history = certified_history(1)
    directory = directory_of(tmp_path)
    save_genesis(directory.genesis, history.genesis)
    (fact,) = history.facts
    texts = [one.data.decode() for one in fact.body.scored]
    # What that history certifies is all zeros.
    vectors = np.random.default_rng(0).normal(size=(len(texts), 1024)).astype("<f4")
    with Store.open(directory.store, directory.blobs) as store:
        record(store, history, fact)
        store.record_embeddings(
            EmbeddingRecord(item_id(text.encode()), 0, 0, n, 0, vectors[n].tobytes())
            for n, text in enumerate(texts)
        )
    rows = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate([*texts, "another", "one more"])]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    common = ("--data", tmp_path / "rows.jsonl", "--cache", tmp_path / "cache", "--home", tmp_path, "--json")
    ended = deltamesh("encoder", "eval", "--consensus", "localnet", *common)
    assert ended.code == 0, ended.err
    assert ended.json["items"] == len(texts)
    by_model = {row["model"]: row for row in ended.json["rows"]}
    assert by_model["consensus"]["space"] == "epoch 0"
    assert "nearest" in by_model["consensus"]["figures"]
    assert "discrimination" not in by_model["consensus"]["figures"]


def test_network_of_an_encoder__says_reference_and_where_its_maps_are(tmp_path: Path) -> None:
    history = certified_history(1)
    directory = directory_of(tmp_path)
    save_genesis(directory.genesis, history.genesis)
    how = opening_of("localnet", tmp_path, Opening("text", threads=3))
    assert (how.threads, how.target, how.space) == (3, Target.CONSENSUS, Space.ALIGNED)
    assert how.maps == directory.root / "alignment"
    assert how.reference == history.genesis.parameters.reference_encoder
    assert opening_of("localnet", tmp_path, Opening("text", reference="mine")).reference == "mine"
    with pytest.raises(CommandError, match="embeds text: say --modality text"):
        opening_of("localnet", tmp_path, Opening("image"))


def test_unknown_model__names_the_nearest(place: Path) -> None:
    ended = deltamesh("encoder", "eval", "wordlama", "--data", place / "rows.jsonl", "--cache", place / "c")
    assert (ended.code, "did you mean `wordllama-" in ended.error) == (ExitCode.BAD_INPUT, True)
