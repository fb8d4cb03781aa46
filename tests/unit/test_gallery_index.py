"""The index beside a large gallery: it recalls enough, and never outlives what it was built of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from node.gallery import Answer, Gallery, Method, Query, Selection, Term, query
from node.gallery.cache import Cache
from tests.support.galleries import drawn, entries, gallery_of, id_of, moments_of, texts_of

COUNT = 600


def clustered(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Rows in clusters of ten, as texts are."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(drawn(count // 10, seed), 10, axis=0)
    rows = rows + 0.3 * draw.normal(size=rows.shape).astype(np.float32) * np.float32(0.8 / 32)
    scaled: npt.NDArray[np.float32] = 0.8 * rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled.astype(np.float32)


ROWS = clustered(COUNT)


def ask(gallery: Gallery, text: str = "item 0", work: list[str] | None = None) -> Answer:
    seen = [] if work is None else work
    return query(
        gallery, Query((Term(text),)), index_rows_min=100, on_work=lambda what, *_: seen.append(what)
    )


def exactly(gallery: Gallery, text: str = "item 0") -> list[str]:
    return texts_of(query(gallery, Query((Term(text),), exact=True)).neighbours)


def test_index__recalls_what_exact_search_finds(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        hits = 0
        for n in range(0, COUNT, 20):
            answer = ask(gallery, f"item {n}")
            assert answer.method is Method.INDEX
            assert answer.recall is not None
            assert answer.recall >= 0.95
            hits += len(set(texts_of(answer.neighbours)) & set(exactly(gallery, f"item {n}")))
        assert hits / (10 * COUNT / 20) >= 0.95


def test_index__is_kept_grown_and_built_anew_when_stale(tmp_path: Path) -> None:
    work: list[str] = []
    with gallery_of(tmp_path, entries(ROWS[:500])) as gallery:
        ask(gallery, work=work)
        assert set(work) == {"placing", "indexing"}
        work.clear()
        assert texts_of(ask(gallery, work=work).neighbours) == exactly(gallery)
        assert work == [], "it is used again"
        gallery.add("all", entries(ROWS))
        assert ask(gallery, "item 599", work).method is Method.INDEX
        assert "indexing" in work
        assert texts_of(ask(gallery, "item 599").neighbours) == exactly(gallery, "item 599")
        gone = exactly(gallery)[0]
        gallery.remove(Selection(item_id=id_of(gone)))
        assert gone not in texts_of(ask(gallery).neighbours)
        (file,) = Cache(gallery.path).folder.glob("*.index")
        for damaged in (b"", b"junk" * 1_000, file.read_bytes()[:-100]):
            file.write_bytes(damaged)
            assert texts_of(ask(gallery).neighbours) == exactly(gallery)


def test_vectors_placed_anew__have_an_index_of_their_own(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        ask(gallery)
        for n in range(0, COUNT, 2):
            gallery.remove(Selection(item_id=id_of(f"item {n}")))
        # As many as before, at other places.
        gallery.add("all", entries(clustered(COUNT // 2, seed=9), "new"))
        work: list[str] = []
        answer = ask(gallery, "item 1", work)
        assert set(work) == {"placing", "indexing"}
        assert (answer.method, texts_of(answer.neighbours)) == (Method.INDEX, exactly(gallery, "item 1"))


def test_torn_index__is_built_anew(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        ask(gallery)
        (file,) = Cache(gallery.path).folder.glob("*.index")
        data = bytearray(file.read_bytes())
        data[-20:] = bytes(one ^ 1 for one in data[-20:])
        file.write_bytes(data)
        work: list[str] = []
        ask(gallery, work=work)
        assert set(work) == {"indexing"}


def test_cache_that_is_kept__opens_the_index_once(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        cache = Cache(gallery.path)

        def kept() -> Answer:
            return query(gallery, Query((Term("item 0"),)), index_rows_min=100, cache=cache)

        first = kept()
        opened = cache.index
        assert kept().neighbours == first.neighbours
        assert cache.index is opened
        gallery.add("all", entries(drawn(10, seed=4), "new"))
        assert kept().searched == COUNT + 9
        assert cache.index is not opened


@pytest.mark.slow
def test_index__of_another_transform_is_never_asked(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        before = ask(gallery)
        gallery.learn_space(8, moments_of(ROWS[::10, ::-1].copy(), centred=False))
        work: list[str] = []
        after = ask(gallery, work=work)
        assert (before.space, after.space) == ("epoch 0", "epoch 8")
        assert "indexing" in work
        assert texts_of(after.neighbours) == exactly(gallery)


def test_index_that_recalls_too_little__is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.gallery.index.RECALL_MIN", 1.01)
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        answer = ask(gallery)
        assert (answer.method, answer.recall) == (Method.EXACT, None)
        assert texts_of(answer.neighbours) == exactly(gallery)


def test_small_and_restricted_searches__are_exact(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        assert query(gallery, Query((Term("item 0"),))).method is Method.EXACT
        selected = Query((Term("item 0"),), selection=Selection(collection="all"))
        assert query(gallery, selected, index_rows_min=100).method is Method.EXACT
