"""Labelled data: samples of every modality, a user's files, and how items are drawn, split and cut."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from node.corpus import load_challenge_pool
from node.encoders.anchors import anchor_texts
from node.evaluation.data import LabelledData, LabelledItem, bytes_of, gallery_flags
from node.evaluation.errors import EvaluationError
from node.evaluation.fragments import gap_of, mask_of
from node.evaluation.own_files import load_rows, write_rows
from node.evaluation.samples import SAMPLES
from node.evaluation.samples.text import _shingles
from node.evaluation.sources import labelled_data
from protocol.modalities import MODALITIES, Units

LABELS = st.lists(st.sampled_from("abc"), min_size=2, max_size=40).filter(
    lambda labels: len(labels) > 1 and min(Counter(labels).values()) > 1
)


@cache
def sampled(modality: str) -> LabelledData:
    return SAMPLES[modality]()


def texts(labels: str, name: str = "texts") -> LabelledData:
    """An item a letter."""
    items = [LabelledItem(f"text number {n}", label, f"{n}") for n, label in enumerate(labels)]
    return LabelledData(name, "text", tuple(items))


# --- Samples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", SAMPLES)
def test_sample__has_canonical_items_of_ten_classes_or_more(modality: str) -> None:
    data = sampled(modality)
    for view in data.views:
        MODALITIES[modality].check(bytes_of(view))
    counts = Counter(data.labels)
    assert len(counts) >= 10
    assert min(counts.values()) >= 12
    assert len(set(data.views)) == len(data.views)
    # Every class has two groups or more, so that no source is on both sides of a search.
    groups = {label: {item.group for item in data.items if item.label == label} for label in counts}
    assert min(map(len, groups.values())) >= 2


@pytest.mark.parametrize("modality", ["audio", "series"])
def test_generated_sample__is_the_same_every_time(modality: str) -> None:
    assert SAMPLES[modality]().digest() == sampled(modality).digest()


def test_text_sample__shares_no_passage_with_what_encoders_learn_from() -> None:
    from pydoc_data.topics import topics

    known = {one for text in (*anchor_texts(), *topics.values()) for one in _shingles(text)}
    assert not any(_shingles(str(view)) & known for view in sampled("text").views)


def test_text_sample__shares_no_passage_with_what_packages_add_to_a_network() -> None:
    known = {run for text in load_challenge_pool(None) for run in _runs_of_twelve(text)}
    assert not any(_runs_of_twelve(str(view)) & known for view in sampled("text").views)


def _runs_of_twelve(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z]+", text.lower())
    return {tuple(words[at : at + 12]) for at in range(max(1, len(words) - 11))}


def test_text_sample__a_caption_belongs_to_one_item() -> None:
    captions = [item.caption for item in sampled("text").items if item.caption is not None]
    assert len(captions) == len(set(captions)) >= 64


# --- Fragments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", SAMPLES)
def test_fragments__partition_their_item(modality: str) -> None:
    for view in sampled(modality).views[::40]:
        item = Units.of(MODALITIES[modality], bytes_of(view))
        for cut in (mask_of(modality, view), gap_of(modality, view)):
            assert cut is not None
            assert type(cut.part) is type(cut.rest) is type(view)
            assert 0.1 < cut.share < 0.9
            sizes = [len(bytes_of(one)) for one in (cut.part, cut.rest, view)]
            if MODALITIES[modality].masks_keep_size:
                part, rest, full, none = (
                    np.frombuffer(bytes_of(one), np.uint8).astype(int)
                    for one in (cut.part, cut.rest, view, item.keep([]))
                )
                assert (part + rest == full + none).all()
            else:
                assert sizes[0] + sizes[1] in (sizes[2], sizes[2] - 1, sizes[2] + 1)


@given(st.integers(8, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_gap__is_one_run_of_words_with_words_on_both_sides(words: int, seed: int) -> None:
    text = " ".join(f"w{seed}x{place}" for place in range(words))
    cut = gap_of("text", text)
    assert cut is not None
    before, after = text.split(str(cut.part))
    assert f"{before.strip()} {after.strip()}" == cut.rest
    assert before.strip()
    assert after.strip()
    assert 0.15 <= len(str(cut.part).split()) / words <= 0.45


def test_fragments__of_a_short_item_are_none() -> None:
    assert mask_of("text", "seven words are too few for it") is None
    assert gap_of("text", "seven words are too few for it") is None


# --- Drawing and splitting ---------------------------------------------------------------------------------


@given(LABELS, st.integers(0, 99), st.data())
@settings(max_examples=60, deadline=None)
def test_gallery__has_a_part_of_each_class_and_whole_groups(
    labels: list[str], seed: int, drawn: st.DataObject
) -> None:
    groups = [f"{label} {drawn.draw(st.integers(0, 3))}" for label in labels]
    flags = gallery_flags(labels, groups, seed)
    assert flags.tolist() == gallery_flags(labels, groups, seed).tolist()
    for label in set(labels):
        inside = [place for place, one in enumerate(labels) if one == label]
        assert 0 < flags[inside].sum() < len(inside)
        if len({groups[place] for place in inside}) > 1:
            for group in {groups[place] for place in inside}:
                assert len({bool(flags[place]) for place in inside if groups[place] == group}) == 1


def test_gallery__is_about_half() -> None:
    data = sampled("text")
    flags = gallery_flags(data.labels, [item.group for item in data.items], 0)
    assert 0.45 < flags.mean() < 0.55


def test_drawn_items__are_spread_over_classes() -> None:
    data = texts("a" * 30 + "b" * 5 + "c" * 30)
    drawn = data.drawn(21, seed=1)
    assert Counter(drawn.labels) == {"a": 8, "b": 5, "c": 8}
    assert drawn == data.drawn(21, seed=1)
    assert drawn != data.drawn(21, seed=2)
    assert data.drawn(100, seed=1) is data
    with pytest.raises(EvaluationError, match="ask for 6 or more"):
        data.drawn(5, seed=1)


def test_labelled_data__refuses_a_class_of_one() -> None:
    with pytest.raises(EvaluationError, match="`b` has 1"):
        texts("aaab")


# --- A user's own ------------------------------------------------------------------------------------------

ROWS = [{"text": f"row  number {n}", "label": f"class {n % 2}"} for n in range(6)]


def _written(folder: Path, suffix: str) -> Path:
    path = folder / f"rows{suffix}"
    match suffix:
        case ".jsonl":
            path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n", encoding="utf-8")
        case ".csv":
            lines = [f'"{row["text"]}",{row["label"]}' for row in ROWS]
            path.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
        case _:
            pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_rows__are_read_alike_from_every_format(tmp_path: Path, suffix: str) -> None:
    data = labelled_data("text", str(_written(tmp_path, suffix)))
    assert data.views == tuple(f"row number {n}" for n in range(6))
    assert data.labels == tuple(f"class {n % 2}" for n in range(6))


def test_saved_items__read_back(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    write_rows(path, sampled("text"))
    assert load_rows(path).items == sampled("text").items


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", '{"text": "one"}', "row 1, has no label"),
        ("a.jsonl", '{"text": "one", "label"', "line 1, is not JSON"),
        ("a.jsonl", "[1]", "line 1, is no object"),
        ("a.jsonl", '{"text": "\\ud800", "label": "a"}', "lone surrogate"),
        ("a.csv", "words,label\na,b", "columns words, label"),
        ("a.parquet", "no parquet", "not a sound Parquet file"),
        ("a.xml", "<a/>", "not labelled data"),
    ],
)
def test_rows__that_are_wrong_say_where(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationError, match=sentence):
        labelled_data("text", str(tmp_path / name))


def test_folder_of_classes__is_read_by_modality(tmp_path: Path) -> None:
    for label, grey in (("dark", 10), ("light", 240)):
        (tmp_path / label).mkdir()
        for n in range(3):
            Image.new("RGB", (64, 64), (grey, grey, n)).save(tmp_path / label / f"{n}.png")
            text = " ".join(f"{label}{n}word{place}" for place in range(30))
            (tmp_path / label / f"{n}.txt").write_text(text, encoding="utf-8")
    with pytest.raises(EvaluationError, match="txt"):
        labelled_data("image", str(tmp_path))
    for path in tmp_path.rglob("*.txt"):
        path.rename(tmp_path / f"{path.parent.name}-{path.name}")
    images = labelled_data("image", str(tmp_path))
    assert Counter(images.labels) == {"dark": 3, "light": 3}
    assert len({item.group for item in images.items}) == 6
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    for path in tmp_path.glob("*.txt"):
        path.rename(tmp_path / path.name.partition("-")[0] / path.name)
    assert Counter(labelled_data("text", str(tmp_path)).labels) == {"dark": 3, "light": 3}


def test_sources__that_do_not_exist_name_what_does(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="use one of text, image"):
        labelled_data("smell")
    with pytest.raises(EvaluationError, match="does not exist"):
        labelled_data("text", str(tmp_path / "none"))
    with pytest.raises(EvaluationError, match="0 folders"):
        labelled_data("bytes", str(tmp_path))
