"""`deltamesh gallery` over a node's store, a report and an export; and every mistake is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.cli.errors import ExitCode
from node.encoders import load_encoder
from node.gallery import Entry, Gallery, Origin
from node.gallery.preview import preview_of_item
from node.modalities import decode_view, items_of_file, sample_items
from protocol.items import item_id
from tests.support.certified_round import certified_round
from tests.support.cli import deltamesh, home_with_round
from tests.support.galleries import drawn, entry, gallery_of


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validator with one certified round, its report as a file, and a gallery of it."""
    folder = tmp_path_factory.mktemp("home")
    home_with_round(folder)
    assert deltamesh("rounds", "export", 0, "--to", folder / "round.dmr", "--home", folder).code == 0
    assert deltamesh("gallery", "add", "--home", folder).code == 0
    return folder


def neighbours_of(place: int, k: int) -> list[str]:
    """Ids of the nearest items of the round, by cosine."""
    items = certified_round().task.batch.items
    rows = np.frombuffer(certified_round().body.scores.consensus, "<f4").reshape(len(items), 1024)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = [n for n in np.argsort(-unit @ unit[place]) if n != place][:k]
    return [item_id(items[n]).hex() for n in order]


def found(document: dict[str, object]) -> list[str]:
    rows = document["neighbours"]
    assert isinstance(rows, list)
    return [row["item_id"] for row in rows]


def test_own_rounds__are_added_once_and_searched_by_text_and_by_id(home: Path) -> None:
    items = certified_round().task.batch.items
    again = deltamesh("gallery", "add", "--home", home, "--json").json
    assert (again["new"], again["items"]) == (0, len(items))
    text = items[3].decode()
    by_text = deltamesh("gallery", "query", text, "--home", home, "-k", 4, "--json").json
    by_id = deltamesh(
        "gallery", "query", "--item", item_id(items[3]).hex()[:12], "--home", home, "-k", 4, "--json"
    )
    assert found(by_text) == found(by_id.json) == neighbours_of(3, 4)
    assert (by_text["space"], by_text["method"], by_text["consensus"]) == ("epoch 0", "exact", True)
    (dealer,) = {row["source"] for row in by_text["neighbours"]}
    assert dealer == certified_round().header.signer.hex()
    assert by_text["neighbours"][0]["certified"] is True


def test_report__is_verified_before_it_is_added(home: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "g.sqlite"
    network_id = certified_round().genesis.network_id.hex()
    shared = ["--gallery", gallery, "--home", tmp_path / "none"]
    report = home / "round.dmr"
    ended = deltamesh("gallery", "add", report, *shared)
    assert (ended.code, "--network-id" in ended.error) == (ExitCode.USAGE, True)
    refused = deltamesh("gallery", "add", report, *shared, "--network-id", "00" * 32)
    assert (refused.code, "which you trust" in refused.error) == (ExitCode.REFUSED, True)
    changed = tmp_path / "changed.dmr"
    data = bytearray(report.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    assert deltamesh("gallery", "add", changed, *shared, "--network-id", network_id).code == ExitCode.REFUSED
    added = deltamesh("gallery", "add", report, *shared, "--network-id", network_id, "--json")
    assert (added.json["new"], added.json["unusable"]) == (64, 0)
    text = certified_round().task.batch.items[3].decode()
    document = deltamesh("gallery", "query", text, *shared, "-k", 4, "--json").json
    assert found(document) == neighbours_of(3, 4)
    assert document["neighbours"][0]["origin"] == "bundle"


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_export__is_added_at_its_word(home: Path, tmp_path: Path, suffix: str) -> None:
    export, gallery = tmp_path / f"e{suffix}", tmp_path / "g.sqlite"
    assert deltamesh("embeddings", "export", "--to", export, "--space", "raw", "--home", home).code == 0
    shared = ["--gallery", gallery, "--home", tmp_path / "none"]
    ended = deltamesh("gallery", "add", export, *shared, "--collection", "news", "--source", "alice")
    assert (ended.code, "taken at its word" in ended.err) == (0, True)
    document = deltamesh(
        "gallery", "query", certified_round().task.batch.items[3].decode(), *shared, "-k", 4, "--json"
    ).json
    assert found(document) == neighbours_of(3, 4)
    row = document["neighbours"][0]
    assert (row["certified"], row["source"], row["collections"]) == (False, "alice", ["news"])
    assert "(unverified)" in deltamesh("gallery", "list", "--collection", "news", *shared).out


def test_new_text__is_embedded_here_and_said_so(home: Path) -> None:
    ended = deltamesh("gallery", "query", "word1 word2", "--home", home, "-k", 2, "--model", "wordllama-64")
    assert ended.code == 0, ended.err
    assert "Not a consensus embedding: 'word1 word2' was embedded here by wordllama-64" in ended.err
    assert "Space epoch 0; 64 items searched exactly." in ended.out
    ended = deltamesh("gallery", "query", "--plus", "one,two", "--home", home, "--model", "wordllama-64")
    assert "Not a consensus embedding: 'one', 'two' were embedded here by wordllama-64" in ended.err


def test_arithmetic__adds_takes_away_and_leaves_out_its_inputs(home: Path) -> None:
    items = certified_round().task.batch.items
    ids = [item_id(item).hex() for item in items[:3]]
    document = deltamesh(
        "gallery", "query", "--plus", f"id:{ids[0]},id:{ids[1]}", "--minus", f"id:{ids[2]}", "--home", home,
        "-k", 64, "--json",
    ).json  # fmt: skip
    assert [(term["item_id"], term["sign"]) for term in document["probe"]] == [
        (ids[0], 1), (ids[1], 1), (ids[2], -1),
    ]  # fmt: skip
    assert set(found(document)).isdisjoint(ids)
    assert len(found(document)) == 61


def test_quota__is_told_and_can_be_raised(home: Path) -> None:
    shared = ["--collection", "few", "--home", home]
    ended = deltamesh("gallery", "add", *shared, "--source-items-max", 10)
    assert (ended.code, "54 items of" in ended.err) == (0, True)
    assert deltamesh("gallery", "add", *shared, "--source-items-max", 100, "--json").json["items"] == 64
    listed = deltamesh("gallery", "list", "--home", home, "--json").json
    assert {one["name"]: one["items"] for one in listed["collections"]} == {"all": 64, "few": 64}
    assert deltamesh("gallery", "remove", "--collection", "few", "--home", home, "--json").json == {
        "removed": 64
    }


def test_hostile_text__steers_no_terminal(tmp_path: Path) -> None:
    evil = entry("plain", drawn(1)[0])
    shown = entry("\x1b[2J\x1b]0;evil\x07 [red]bold[/red] \u202e", drawn(2)[1], source="\x1b[31mmallory")
    gallery_of(tmp_path, [evil, shown]).close()
    shared = ["--gallery", tmp_path / "g.sqlite", "--home", tmp_path / "none"]
    for arguments in (["query", "plain"], ["list", "--collection", "all"], ["list"]):
        ended = deltamesh("gallery", *arguments, *shared)
        assert ended.code == 0, ended.err
        assert not {"\x1b", "\x07", "\u202e"} & set(ended.out)
        if arguments != ["list"]:
            assert "[red]bold[/red]" in ended.out


@pytest.mark.slow
def test_images__are_searched_by_a_file(tmp_path: Path) -> None:
    encoder = load_encoder("image-patches", modality="image")
    items = sample_items("image")[:24]
    path = tmp_path / "probe.png"
    Image.fromarray(decode_view("image", items[0])).save(path)
    (probe,) = items_of_file("image", path)
    rows = 0.8 * encoder.encode([*items[1:], probe])
    with Gallery.open(tmp_path / "g.sqlite", create=True) as gallery:
        gallery.bind(bytes(32), "image")
        gallery.make_collection("all")
        gallery.add(
            "all",
            [
                Entry(
                    item_id(item),
                    Origin.STORE,
                    "d",
                    0,
                    0,
                    0,
                    None,
                    preview_of_item("image", item),
                    row.tobytes(),
                )
                for item, row in zip(items[1:], rows[:-1], strict=True)
            ],
        )
    shared = ["--gallery", tmp_path / "g.sqlite", "--home", tmp_path / "none", "-k", 3]
    ended = deltamesh("gallery", "query", "--file", path, *shared, "--json")
    assert ended.code == 0, ended.err
    order = np.argsort(-rows[:-1] @ rows[-1])[:3]
    assert found(ended.json) == [item_id(items[1:][n]).hex() for n in order]
    height, width = items[1:][order[0]][1], items[1:][order[0]][3]
    assert ended.json["neighbours"][0]["preview"] == f"image {width}x{height}"
    assert "was embedded here by image-patches" in deltamesh("gallery", "query", "--file", path, *shared).err
    ended = deltamesh("gallery", "query", "a text", *shared)
    assert (ended.code, "probe by --item or --file" in ended.error) == (ExitCode.BAD_INPUT, True)


def test_mistakes__are_one_sentence_each(home: Path, tmp_path: Path) -> None:
    none = ["--home", tmp_path / "none"]
    cases: list[tuple[list[object], ExitCode, str]] = [
        (["query", "x", *none], ExitCode.NODE_STATE, "there is no node"),
        (["query", "x", "--gallery", tmp_path / "g", *none], ExitCode.STORAGE, "there is no gallery"),
        (["query", "--home", home], ExitCode.USAGE, "say what to look for"),
        (
            ["query", "x", "--collection", "sport", "--home", home],
            ExitCode.BAD_INPUT,
            "no collection 'sport'",
        ),
        (["query", "x", "--space", "sunday", "--home", home], ExitCode.BAD_INPUT, "is no space"),
        (["query", "x", "--space", "7", "--home", home], ExitCode.BAD_INPUT, "epoch 7 is not known"),
        (["query", "x", "--model", "nonesuch", "--home", home], ExitCode.BAD_INPUT, "no model `nonesuch`"),
        (["query", "--item", "zz", "--home", home], ExitCode.BAD_INPUT, "no item id"),
        (["query", "--file", tmp_path / "no.txt", "--home", home], ExitCode.BAD_INPUT, "does not exist"),
        (["add", "--collection", "A B", "--home", home], ExitCode.BAD_INPUT, "cannot name"),
        (["add", "x.dmr", "--from-round", 1, "--home", home], ExitCode.USAGE, "leave out the files"),
        (["add", "--from-round", 99, "--home", home], ExitCode.NODE_STATE, "no embeddings of those rounds"),
        (["add", "--network-id", "abc", "--home", home], ExitCode.USAGE, "no network id"),
        (["add", "--gallery", tmp_path / "new", *none], ExitCode.NODE_STATE, "no validator's store"),
        (["remove", "--home", home], ExitCode.USAGE, "say what to remove"),
        (["list", "--collection", "all", "--after", "zz", "--home", home], ExitCode.USAGE, "no item id"),
    ]
    for arguments, code, reason in cases:
        ended = deltamesh("gallery", *arguments)
        assert (ended.code, reason in ended.error) == (code, True), (arguments, ended)


def test_damaged_gallery__is_told_and_nothing_crashes(home: Path, tmp_path: Path) -> None:
    gallery = tmp_path / "g.sqlite"
    shared = ["--gallery", gallery, "--home", home]
    assert deltamesh("gallery", "add", *shared).code == 0
    data = gallery.read_bytes()
    draw = np.random.default_rng(3)
    for cut in (50, 5_000, len(data) - 40_000):
        gallery.write_bytes(data[:cut])
        ended = deltamesh("gallery", "query", "word1", *shared)
        assert (ended.code, "damaged" in ended.error) == (ExitCode.STORAGE, True)
    for _ in range(10):
        changed = bytearray(data)
        for place in draw.integers(100, len(data), 200):
            changed[place] ^= int(draw.integers(1, 256))
        gallery.write_bytes(changed)
        ended = deltamesh("gallery", "query", "--item", "abcd", *shared)
        assert ended.code in (0, ExitCode.BAD_INPUT, ExitCode.STORAGE), ended.err
