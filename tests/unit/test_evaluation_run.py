"""An exam from its questions to its rows: figures, stores of rows, consensus, maps and their picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from node.cli.embedding_files import WRITERS
from node.cli.embedding_spool import EmbeddingRow, EmbeddingSpool
from node.encoders.encoder import EncoderError, View
from node.evaluation.baselines import baselines_of, byte_hash, random_rows, raw_values
from node.evaluation.consensus import published_in_file, published_in_store
from node.evaluation.data import LabelledData, LabelledItem
from node.evaluation.errors import EvaluationError
from node.evaluation.exam import METRICS, Exam, exam_of
from node.evaluation.map import map_of
from node.evaluation.marks import MARKS_MAX, OTHER, marks_of
from node.evaluation.models import Contestant, Space, baselines
from node.evaluation.picture import draw_maps
from node.evaluation.row_store import FILES_MAX, ROWS_MAX, RowStore
from node.evaluation.run import question_of, row_of, row_of_vectors
from node.evaluation.samples import audio_sample, image_sample
from node.gallery.errors import ExportError
from node.gallery.from_export import OPENERS
from node.space import open_space
from tests.support.certified_history import certified_history, open_store, record

TOPICS = ("sea", "wood", "town", "sky")


def labelled(count: int = 48) -> LabelledData:
    """Texts of four topics, each with some words of its own and some of its topic."""
    items = []
    for n in range(count):
        topic = TOPICS[n % 4]
        words = [f"{topic}{(n * 7 + k) % 9}" if k % 2 else f"own{n}x{k}" for k in range(24)]
        items.append(LabelledItem(" ".join(words), topic, f"{n}", f"about own{n}x0 and own{n}x2"))
    return LabelledData("made up", "text", tuple(items))


def bag(views: Sequence[View]) -> NDArray[np.float32]:
    """Sums of a random vector a word."""
    return np.stack([sum(_atom(word) for word in str(view).split()) for view in views]).astype(np.float32)


def _atom(word: str) -> NDArray[np.float64]:
    return np.random.default_rng(list(word.encode())).normal(size=64)


@pytest.fixture(scope="module")
def exam() -> Exam:
    return exam_of(labelled())


def ask(contestant: Contestant, exam: Exam, store: RowStore | None = None) -> dict[str, float]:
    row = row_of(contestant, exam, store, lambda _: None)
    return {name: figure.value for name, figure in row.figures.items()}


# --- Exams -------------------------------------------------------------------------------------------------


def test_exam__asks_for_each_view_once_and_has_every_figure(exam: Exam) -> None:
    assert len(set(exam.views)) == len(exam.views) == 6 * 48
    figures = ask(Contestant("bag", Space.NATIVE, bag), exam)
    assert list(figures) == list(METRICS)
    assert figures["nearest"] == 1
    assert figures["caption_recall_10"] > 0.5 > figures["mask_reciprocal_rank"]


def test_exam__knowledge_beats_bytes_beats_chance(exam: Exam) -> None:
    figures = [ask(one, exam) for one in (Contestant("bag", Space.NATIVE, bag), *baselines(exam.data))]
    by_name = dict(zip(("bag", "random", "bytes"), figures, strict=True))
    for metric in ("nearest", "triplets", "caption_reciprocal_rank"):
        assert by_name["bag"][metric] > by_name["random"][metric] + 0.2
    assert by_name["bytes"]["triplets"] > by_name["random"]["triplets"] + 0.1
    assert by_name["random"]["nearest"] < 0.5
    assert by_name["random"]["discrimination"] < 0.05
    assert by_name["random"]["recomposition"] > 0.9


def test_exam__discrimination_is_among_mixed_items_whatever_order_they_come_in() -> None:
    # Words tell the class and nothing else: among 64 of one class nothing is found, among 64 of eight some.
    items = [
        LabelledItem(" ".join(f"class{n // 64}" for _ in range(12)) + f" {n}", f"{n // 64}", f"{n}")
        for n in range(512)
    ]
    ordered = exam_of(LabelledData("by class", "text", tuple(items)))
    assert ask(Contestant("bag", Space.NATIVE, bag), ordered)["discrimination"] > 0.2


def test_exam__what_was_withheld_is_counted_and_costs(exam: Exam) -> None:
    def half(views: Sequence[View]) -> NDArray[np.float32]:
        rows = bag(views)
        rows[::2] = np.nan
        return rows

    row = row_of(Contestant("half", Space.NATIVE, half), exam, None, lambda _: None)
    assert (row.asked, row.withheld) == (len(exam.views), len(exam.views) // 2)
    assert row.figures["nearest"].value < 0.7


def test_exam__a_model_without_answers_is_told(exam: Exam) -> None:
    def nothing(views: Sequence[View]) -> NDArray[np.float32]:
        return np.full((len(views), 4), np.nan, np.float32)

    with pytest.raises(EvaluationError, match="silent has a direction for 0 of 48 items"):
        row_of(Contestant("silent", Space.NATIVE, nothing), exam, None, lambda _: None)


def test_exam__a_model_of_wrong_shape_is_told(exam: Exam) -> None:
    with pytest.raises(EncoderError, match="one row a view"):
        row_of(Contestant("odd", Space.NATIVE, lambda views: bag(views)[:1]), exam, None, lambda _: None)


def test_exam__items_too_short_for_fragments_have_the_figures_of_classes_only() -> None:
    items = [LabelledItem(f"{TOPICS[n % 4]} {n}", TOPICS[n % 4], f"{n}") for n in range(24)]
    short = exam_of(LabelledData("short", "text", tuple(items)))
    assert short.mask is short.gap is short.caption is None
    assert "nearest" in ask(Contestant("bag", Space.NATIVE, bag), short)


# --- Baselines ---------------------------------------------------------------------------------------------


def test_baselines__same_view_same_row_in_any_company() -> None:
    views = ["one view", b"\x00\x01", "another"]
    for embed in (random_rows, byte_hash):
        rows = embed(views)
        assert rows.shape[0] == 3
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        np.testing.assert_array_equal(embed(views[2:]), rows[2:])
    assert byte_hash(["a fine day today", "a fine day todaz"]).prod(0).sum() > 0.7


def test_raw_values__are_what_a_model_is_given() -> None:
    view = image_sample().views[0]
    pixels = np.frombuffer(bytes(view), np.uint8, offset=4).astype(np.float32) - 128  # type: ignore[arg-type]
    np.testing.assert_allclose(raw_values("image")([view])[0], pixels / np.linalg.norm(pixels), atol=1e-6)
    assert "raw values" in baselines_of("audio", audio_sample().views)
    assert "raw values" not in baselines_of("text", ["a", "b"])


# --- Rows kept ---------------------------------------------------------------------------------------------


def test_row_store__finished_rows_are_not_measured_again(exam: Exam, tmp_path: Path) -> None:
    asked: list[int] = []

    def counting(views: Sequence[View]) -> NDArray[np.float32]:
        asked.append(len(views))
        return bag(views)

    model = Contestant("counting", Space.NATIVE, counting)
    first = row_of(model, exam, RowStore(tmp_path, question_of(exam)), lambda _: None)
    assert sum(asked) > len(exam.views)
    asked.clear()
    again = row_of(model, exam, RowStore(tmp_path, question_of(exam)), lambda _: None)
    assert again == first
    assert sum(asked) <= 8


def test_row_store__a_model_that_answers_otherwise_is_another(exam: Exam, tmp_path: Path) -> None:
    store = RowStore(tmp_path, question_of(exam))
    first = row_of(Contestant("same name", Space.NATIVE, bag), exam, store, lambda _: None)
    second = row_of(Contestant("same name", Space.NATIVE, random_rows), exam, store, lambda _: None)
    assert first.figures["nearest"] != second.figures["nearest"]


def test_row_store__damage_costs_only_the_damaged_line(exam: Exam, tmp_path: Path) -> None:
    row = row_of(Contestant("bag", Space.NATIVE, bag), exam, None, lambda _: None)
    store = RowStore(tmp_path, b"question")
    store.put("one", row)
    store.put("two", row)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-40])
    kept = RowStore(tmp_path, b"question")
    assert kept.get("one") == row
    assert kept.get("two") is None


def test_row_store__is_bounded(exam: Exam, tmp_path: Path) -> None:
    row = row_of_vectors("nobody", "raw", random_rows(exam.data.views), exam)
    for question in range(FILES_MAX + 3):
        RowStore(tmp_path, bytes([question])).put("key", row)
    assert len(list(tmp_path.iterdir())) <= FILES_MAX
    store = RowStore(tmp_path, b"many")
    for number in range(ROWS_MAX + 1):
        store.put(f"{number}", row)
    assert store.get("0") is None
    (path,) = (one for one in tmp_path.iterdir() if one == store._path)
    assert len(path.read_text().splitlines()) == 1


# --- Consensus ---------------------------------------------------------------------------------------------


def _exported(folder: Path, data: LabelledData, suffix: str) -> tuple[Path, NDArray[np.float32]]:
    vectors = np.random.default_rng(0).normal(size=(len(data.items), 1024)).astype("<f4")
    path = folder / f"out{suffix}"
    spool = EmbeddingSpool(path, {})
    rows = [
        (EmbeddingRow(item.id.hex(), str(item.view), 0, 0, n, 3), vectors[n].tobytes())
        for n, item in enumerate(data.items)
    ]
    spool.append_round(0, rows)
    WRITERS[suffix](path, spool, {"space": "deltamesh consensus, epoch 3"}, lambda _: None)
    return path, vectors


@pytest.mark.parametrize("suffix", OPENERS)
def test_consensus__of_an_export_is_matched_by_item(tmp_path: Path, suffix: str) -> None:
    data = labelled()
    part = LabelledData("a part", "text", data.items[:30])
    path, vectors = _exported(tmp_path, part, suffix)
    published = published_in_file(path, [item.id for item in data.items])
    found, rows = published.of(data)
    assert found.items == data.items[:30]
    np.testing.assert_array_equal(rows, vectors)
    row = row_of_vectors("consensus", published.space, rows, exam_of(found))
    assert row.space == "epoch 3"
    assert set(row.figures) == {
        "nearest",
        "neighbours",
        "triplets",
        "mutual_information",
        "rand_index",
        "uniformity",
    }


@pytest.mark.parametrize("suffix", OPENERS)
def test_consensus__a_file_that_is_no_export_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"PK\x03\x04 or something else" * 40)
    with pytest.raises(ExportError):
        published_in_file(path, [bytes(32)])
    for none in (tmp_path / f"none{suffix}", tmp_path / "out.txt"):
        with pytest.raises(EvaluationError, match="is no export of embeddings"):
            published_in_file(none, [bytes(32)])


def test_consensus__of_a_store_is_what_was_certified(tmp_path: Path) -> None:
    history = certified_history(1)
    (fact,) = history.facts
    items = [*(one.data for one in fact.body.scored), *fact.body.served]
    data = LabelledData(
        "a round",
        "text",
        tuple(LabelledItem(one.decode(), "ab"[n % 2], f"{n}") for n, one in enumerate(items)),
    )
    expected = np.frombuffer(fact.body.scores.consensus, "<f4").reshape(len(items), 1024)
    with open_store(tmp_path) as store:
        record(store, history, fact)
        space = open_space(history.genesis, store, "raw")
        found, rows = published_in_store(store, space, [item.id for item in data.items]).of(data)
    assert found == data
    np.testing.assert_array_equal(rows, expected)


def test_consensus__without_any_of_the_items_says_how_to_submit_them(tmp_path: Path) -> None:
    path, _ = _exported(tmp_path, labelled(), ".parquet")
    with pytest.raises(EvaluationError, match="--save-items"):
        published_in_file(path, [bytes(32)]).of(labelled())


# --- Maps and pictures -------------------------------------------------------------------------------------


def test_map__is_the_pca_of_scikit_learn() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 8)) * np.arange(1, 9)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    oracle = PCA(2).fit(rows)
    found = map_of(rows)
    places = np.array(found.places)
    np.testing.assert_allclose(np.abs(places), np.abs(oracle.transform(rows)), atol=2e-4)
    np.testing.assert_allclose(found.shares, oracle.explained_variance_ratio_, atol=1e-5)
    assert (places[np.abs(places).argmax(0), [0, 1]] > 0).all()


def test_map__of_one_point_is_the_origin() -> None:
    assert map_of(np.ones((4, 3))).places == ((0.0, 0.0),) * 4
    assert map_of(np.full((4, 3), np.nan)).shares == (0.0, 0.0)


def test_marks__tell_classes_apart_until_there_are_too_many() -> None:
    few = marks_of([f"class {n}" for n in range(MARKS_MAX)])
    assert len({(mark.colour, mark.shape) for mark in few.values()}) == MARKS_MAX
    many = marks_of([f"class {n}" for n in range(MARKS_MAX + 5)] + ["class 3"] * 5)
    assert sum(mark.label == OTHER for mark in many.values()) == 6
    assert many["class 3"].label == "class 3"


def test_picture__every_item_and_every_word_lies_inside(exam: Exam) -> None:
    rows = [row_of(one, exam, None, lambda _: None) for one in (*baselines(exam.data),) * 2]
    svg = draw_maps(rows, exam.data.labels, "A <title> & more")
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    width, height = (float(one) for one in root.attrib["viewBox"].split()[2:])
    groups = [one for one in root.iter(f"{space}g") if one.attrib.get("class") == "mark"]
    assert len(groups) == len(rows) * len(TOPICS)
    marks = [one for group in groups for one in group.iter(f"{space}use")]
    assert len(marks) == len(rows) * len(exam.data.items)
    plots = [one for one in root.iter(f"{space}rect") if one.attrib.get("class") == "plot"]
    assert len(plots) == len(rows)
    for mark in marks:
        x, y = float(mark.attrib["x"]), float(mark.attrib["y"])
        assert any(
            0 <= x - float(plot.attrib["x"]) <= 300 and 0 <= y - float(plot.attrib["y"]) <= 300
            for plot in plots
        )
    for text in root.iter(f"{space}text"):
        if "x" in text.attrib:
            assert 0 < float(text.attrib["x"]) < width
            assert 0 < float(text.attrib["y"]) < height
    words = [text.text for text in root.iter(f"{space}text")]
    assert set(TOPICS) <= set(words)
    assert sum(str(word).startswith("PC 1, ") for word in words) == len(rows)


def test_picture__of_one_point_is_drawn() -> None:
    data = labelled(8)
    row = row_of_vectors("constant", "raw", np.ones((8, 4), np.float32), exam_of(data))
    assert draw_maps([row], data.labels, "one point").count("<use") == 8 + 2 * len(TOPICS)


def test_rows__are_plain_json(exam: Exam, tmp_path: Path) -> None:
    store = RowStore(tmp_path, question_of(exam))
    row_of(Contestant("bag", Space.NATIVE, bag), exam, store, lambda _: None)
    (line,) = store._path.read_text().splitlines()
    assert json.loads(line)["row"]["model"] == "bag"
