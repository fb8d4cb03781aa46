"""Shortlists by signs: what they recall, where they are not used, filters, growth, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.gallery import Method, Query, Selection, Term, query, signs
from node.gallery.cache import Cache
from node.gallery.placed import Placed
from node.gallery.signs import differences
from tests.support.galleries import Rows, entries, gallery_of, texts_of


def clustered(count: int, seed: int = 0) -> Rows:
    """[count, 1024] in clusters of 20, as texts lie: each has near ones and far ones."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(-(-count // 20), 1024))
    rows = np.repeat(centres, 20, axis=0)[:count] + 0.8 * draw.normal(size=(count, 1024))
    return (0.8 * rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 2**31))
def test_differences__count_the_signs_that_differ(count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, 1024)).astype(np.float32)
    packed = signs._signs(rows)
    told = differences(np.ascontiguousarray(packed.T), packed[0])
    assert told.tolist() == ((rows > 0) != (rows[0] > 0)).sum(axis=1).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1024), min_size=1, max_size=80), st.integers(1, 100))
def test_least__are_so_many_and_those_that_tie_with_the_last(values: list[int], count: int) -> None:
    count = min(count, len(values))
    bound = sorted(values)[count - 1]
    found = signs._least(np.array(values, np.uint16), count)
    assert found.tolist() == [place for place, value in enumerate(values) if value <= bound]


def test_search_by_signs__finds_what_exact_search_finds(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(clustered(600))) as gallery:
        cache = Cache(gallery.path)
        for n in range(0, 600, 37):
            asked = Query((Term(f"item {n}"),), k=10)
            exact = query(gallery, asked, cache=cache)
            found = query(gallery, asked, cache=cache, signs_rows_min=100)
            assert (exact.method, found.method, found.searched) == (Method.EXACT, Method.SIGNS, 599)
            assert found.neighbours == exact.neighbours
        assert found.recall is not None
        assert found.recall >= 0.95


def test_filtered_search__looks_among_all_that_are_left(tmp_path: Path) -> None:
    rows = clustered(400)
    with gallery_of(tmp_path, entries(rows[:390], round_=1)) as gallery:
        gallery.add("all", entries(rows[390:], "late", round_=9))
        cache = Cache(gallery.path)
        asked = Query((Term("item 3"),), k=20, selection=Selection(from_round=9))
        found = query(gallery, asked, cache=cache, signs_rows_min=100)
        assert found.method is Method.SIGNS
        assert set(texts_of(found.neighbours)) == {f"late {n}" for n in range(10)}
        alone = Query((Term("late 3"),), selection=Selection(from_round=9, to_round=9))
        assert len(query(gallery, Query((Term("late 3"),), k=1), cache=cache).neighbours) == 1
        with pytest.raises(Exception, match="nothing of"):
            query(gallery, alone, cache=cache, signs_rows_min=100)


def test_signs__grow_with_the_gallery_and_are_made_anew_with_its_file(tmp_path: Path) -> None:
    rows = clustered(400)
    with gallery_of(tmp_path, entries(rows[:300])) as gallery:
        cache = Cache(gallery.path)
        query(gallery, Query((Term("item 1"),)), cache=cache, signs_rows_min=100)
        assert cache.signs is not None
        gallery.add("all", entries(rows[300:], "late"))
        found = query(gallery, Query((Term("late 5"),), k=3), cache=cache, signs_rows_min=100)
        # Clusters of twenty begin at 300.
        assert set(texts_of(found.neighbours)) <= {f"late {n}" for n in range(20)}
        assert cache.signs[1].shape == (16, 400)
        gallery.remove(Selection(item_id=found.neighbours[0].item.item_id))
        again = query(gallery, Query((Term("late 5"),), k=3), cache=cache, signs_rows_min=100)
        assert found.neighbours[0].item.preview not in texts_of(again.neighbours)


def test_signs_that_tell_too_little__are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "SURPLUSES", (1,))
    draw = np.random.default_rng(1).normal(size=(400, 1024)).astype(np.float32)
    rows = 0.8 * draw / np.linalg.norm(draw, axis=1, keepdims=True)
    with gallery_of(tmp_path, entries(rows)) as gallery:
        answer = query(gallery, Query((Term("item 3"),)), signs_rows_min=100)
    assert (answer.method, answer.recall) == (Method.EXACT, None)


def test_damaged_vectors__are_placed_anew(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(clustered(400))) as gallery:
        cache = Cache(gallery.path)
        asked = Query((Term("item 7"),), k=5)
        good = query(gallery, asked, cache=cache, signs_rows_min=100)
        (file,) = cache.folder.glob("*.vectors")
        damaged = np.fromfile(file, "<f4").reshape(400, 1024)
        damaged *= 1e6
        file.write_bytes(damaged.tobytes())
        assert query(gallery, asked, cache=cache, signs_rows_min=100).neighbours == good.neighbours


def test_recall__is_measured_anew_of_a_crowd_that_grew_and_of_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[int] = []
    whole = signs._measured

    def counting(columns: signs.Columns, placed: Placed) -> tuple[int, float]:
        measured.append(len(placed.rows))
        return whole(columns, placed)

    monkeypatch.setattr(signs, "_measured", counting)
    rows = clustered(500)
    with gallery_of(tmp_path, entries(rows[:300], round_=1)) as gallery:

        def ask() -> None:
            query(gallery, Query((Term("item 1"),)), cache=cache, signs_rows_min=50)

        cache = Cache(gallery.path)
        ask()
        ask()
        gallery.add("all", entries(rows[300:350], "late", round_=2))
        ask()
        assert measured == [300]
        gallery.add("all", entries(rows[350:], "later", round_=2))
        ask()
        assert measured == [300, 500]
        # So many rows are dead then that the file is written anew.
        gallery.remove(Selection(from_round=2))
        ask()
        assert measured == [300, 500, 300]
