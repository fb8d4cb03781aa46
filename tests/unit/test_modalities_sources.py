"""Folders give items in a stable order, say what they left out, and stay within bounds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.corpus import CorpusError, load_challenge_pool
from node.modalities import FileError, items_of_file, load_challenge_items, load_items, sample_items
from node.modalities.source import LeftOut, Loading, items_of_source
from protocol.masks import UNITS_MIN
from protocol.modalities import BYTES, IMAGE, MODALITIES


def picture(path: Path, seed: int) -> bytes:
    """A PNG file of noise at a path, and its item."""
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return items_of_file("image", path)[0]


def test_items_of_source__reads_a_folder_in_the_order_of_names_without_repeats(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    items = [picture(tmp_path / name, seed) for seed, name in enumerate(("a.png", "m", "z/b.png"))]
    picture(tmp_path / "z" / "again.png", 0)
    found, left_out = items_of_source("image", tmp_path)
    assert found == items
    assert str(left_out) == ""


def test_items_of_source__counts_what_it_leaves_out_and_says_why(tmp_path: Path) -> None:
    item = picture(tmp_path / "a.png", 1)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "sound.png").write_bytes(b"fLaC" + bytes(64))
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:500])
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    told: list[str] = []
    assert load_items("image", tmp_path, tell=told.append) == [item]
    (sentence,) = told
    assert "2 files of other kinds and 3 files that cannot be read" in sentence
    assert all(reason in sentence for reason in ("cut off", "is empty", "is a pipe"))


def test_left_out__keeps_few_reasons(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 1)
    for n in range(20):
        (tmp_path / f"{n}.png").touch()
    _, left_out = items_of_source("image", tmp_path)
    assert (left_out.refused, len(left_out.reasons)) == (20, 3)
    assert str(LeftOut(1, 0, ())) == "Left out 1 file of other kinds."


def test_items_of_source__refuses_a_source_without_items_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "b.txt").write_text("x")
    with pytest.raises(FileError, match=r"no image that can be read\. Left out 1 file of other .*damaged"):
        items_of_source("image", tmp_path)
    with pytest.raises(FileError, match="damaged or cut off"):
        items_of_source("image", tmp_path / "a.png")
    with pytest.raises(FileError, match="cannot be read"):
        items_of_source("image", tmp_path / "nowhere")


def test_items_of_source__is_bounded_in_bytes_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 5000)
    monkeypatch.setattr("node.modalities.source.ITEMS_BYTES_MAX", 10_000)
    with pytest.raises(FileError, match="MiB of items"):
        items_of_source("bytes", tmp_path)
    monkeypatch.setattr("node.modalities.source.FILES_MAX", 2)
    with pytest.raises(FileError, match="over 2 files"):
        items_of_source("bytes", tmp_path)


def test_items_of_source__does_not_follow_links_to_folders(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "up").symlink_to(tmp_path)
    item = picture(tmp_path / "inside" / "a.png", 1)
    assert items_of_source("image", tmp_path)[0] == [item]


def test_items_of_source__reports_each_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    steps: list[Loading] = []
    items_of_source("bytes", tmp_path, on_loading=steps.append)
    assert steps == [Loading(2, 1, 1, 100), Loading(2, 2, 2, 200)]


def test_load_challenge_items__leave_out_small_and_even_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(200)))
    (tmp_path / "even").write_bytes(b"\0" * 5000)
    (tmp_path / "small").write_bytes(bytes(range(7 * 16)))
    told: list[str] = []
    (item,) = load_challenge_items("bytes", tmp_path, tell=told.append)
    assert len(BYTES.unit_sizes(item)) >= UNITS_MIN
    assert told == ["Left out 2 items too small or too even to challenge with."]
    with pytest.raises(CorpusError, match="no bytes of 8 units"):
        load_challenge_items("bytes", tmp_path / "small")


def test_load_challenge_items__leave_out_pictures_of_one_colour(tmp_path: Path) -> None:
    item = picture(tmp_path / "a.png", 1)
    Image.new("RGB", (64, 64), (10, 20, 30)).save(tmp_path / "blue.png")
    assert len(load_items("image", tmp_path)) == 2
    assert load_challenge_items("image", tmp_path) == [item]
    assert len(IMAGE.unit_sizes(item)) >= UNITS_MIN


def test_load_items__of_text_are_canonical_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One  text\nof a few words.\n\nOne text of a few words.\n\nAnother.")
    assert load_items("text", tmp_path)[0].startswith(b"One text of a few words.")
    pool = load_challenge_items("text", None)
    assert [item.decode() for item in pool] == load_challenge_pool(None)


def test_load_items__takes_the_sample_where_there_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_items("series", count=20)
    monkeypatch.setattr("node.modalities.load.sample_items", lambda modality: sample)
    assert load_items("series", None) == load_challenge_items("series", None) == sample


def test_load_items__refuses_a_modality_that_does_not_exist(tmp_path: Path) -> None:
    for source in (None, tmp_path):
        with pytest.raises(ValueError, match="smell"):
            load_items("smell", source)
    assert "smell" not in MODALITIES
