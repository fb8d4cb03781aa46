"""Searching a gallery: against a loop over all vectors, in one space, by items and sums of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.gallery import GalleryError, Method, ProbeError, Query, Selection, Term, query
from node.gallery.cache import Cache
from node.gallery.exact import DamagedVectorsError, cosines, nearest
from node.gallery.probes import split_terms
from tests.support.galleries import drawn, entries, entry, gallery_of, id_of, texts_of


def ids(places: npt.NDArray[np.int64]) -> Sequence[bytes]:
    """Names that run against the order of the places."""
    return [(10**6 - int(place)).to_bytes(4, "big") for place in places]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**31), st.booleans())
def test_nearest__are_those_of_a_sort_of_all_cosines(count: int, k: int, seed: int, ties: bool) -> None:
    draw = np.random.default_rng(seed)
    rows = draw.normal(size=(count, 16)).astype(np.float32)
    if ties:
        rows = rows[draw.integers(0, max(1, count // 3), count)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    allowed = draw.random(count) < 0.7
    places, scores = nearest(rows, rows[0], k, allowed, ids)
    exact = np.round(rows.astype(np.float64) @ rows[0].astype(np.float64), 6)
    expected = sorted(np.flatnonzero(allowed), key=lambda place: (-exact[place], -place))[:k]
    assert places.tolist() == expected
    np.testing.assert_allclose(scores, exact[expected], atol=2e-6)


def test_cosines__of_damaged_vectors_are_refused() -> None:
    rows = np.eye(4, dtype=np.float32)
    for bad in (np.nan, np.inf, 2.0):
        damaged = rows.copy()
        damaged[2, 0] = bad
        with pytest.raises(DamagedVectorsError):
            cosines(damaged, rows[0])


def test_query__finds_the_nearest_by_cosine_and_names_space_and_method(tmp_path: Path) -> None:
    rows = drawn(40)
    with gallery_of(tmp_path, entries(rows)) as gallery:
        answer = query(gallery, Query((Term("item 3"),), k=5))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = [n for n in np.argsort(-unit @ unit[3]) if n != 3][:5]
    assert texts_of(answer.neighbours) == [f"item {n}" for n in order]
    np.testing.assert_allclose([one.score for one in answer.neighbours], unit[order] @ unit[3], atol=1e-5)
    assert (answer.space, answer.method, answer.searched) == ("epoch 0", Method.EXACT, 39)
    assert answer.document()["consensus"] is True


def test_probe_itself__is_an_answer_only_when_asked(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(drawn(9))) as gallery:
        answer = query(gallery, Query((Term("item 3"),), k=1, with_probe=True))
        assert (texts_of(answer.neighbours), answer.neighbours[0].score) == (["item 3"], 1.0)
        alone = Query((Term("item 3"),), selection=Selection(item_id=id_of("item 3")))
        assert query(gallery, alone).neighbours == ()


def test_equal_vectors__are_ordered_by_id(tmp_path: Path) -> None:
    rows = np.repeat(drawn(1), 12, axis=0)
    with gallery_of(tmp_path, entries(rows)) as gallery:
        found = query(gallery, Query((Term("item 0"),), k=5)).neighbours
    names = sorted(id_of(f"item {n}") for n in range(1, 12))[:5]
    assert [one.item.item_id for one in found] == names


def test_arithmetic__is_the_sum_of_unit_vectors_without_its_inputs(tmp_path: Path) -> None:
    rows = drawn(30)
    rows[1] *= 0.1  # lengths do not count
    with gallery_of(tmp_path, entries(rows)) as gallery:
        terms = split_terms(gallery, ["item 0, item 1"], ["item 2"])
        assert [(term.content, term.sign) for term in terms] == [("item 0", 1), ("item 1", 1), ("item 2", -1)]
        answer = query(gallery, Query(terms, k=30))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    probe = unit[0] + unit[1] - unit[2]
    order = [n for n in np.argsort(-unit @ probe) if n > 2]
    assert texts_of(answer.neighbours) == [f"item {n}" for n in order]


def test_whole_option__that_is_an_item_is_not_cut_at_commas(tmp_path: Path) -> None:
    with gallery_of(tmp_path, [entry("salt, pepper", drawn(1)[0])]) as gallery:
        assert [term.content for term in split_terms(gallery, ["salt, pepper"], [])] == ["salt, pepper"]
        assert len(split_terms(gallery, ["salt, sugar"], [])) == 2


def test_terms_that_cancel__and_terms_that_are_nothing_are_refused(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(drawn(4))) as gallery:
        for terms, why in [
            ((Term("item 0"), Term("item 0", -1)), "cancel"),
            ((), "1 to 32"),
            ((Term("unknown"),), "--model"),
            ((Term("id:ffffffff"),), "no item of"),
            ((Term("id:zz"),), "no item id"),
            ((Term("\ud800"),), "cannot be embedded"),
        ]:
            with pytest.raises(ProbeError, match=why):
                query(gallery, Query(terms))
        for k in (0, 1_001):
            with pytest.raises(GalleryError, match="1 to 1000"):
                query(gallery, Query((Term("item 0"),), k=k))


class Model:
    """Embeds `item n` as the vectors of a gallery say, and anything else along the first axis."""

    name = "stub"

    def __init__(self, rows: npt.NDArray[np.float32]) -> None:
        self._rows = rows

    def encode(self, views: Sequence[str | bytes]) -> npt.NDArray[np.float32]:
        axis = np.eye(1, self._rows.shape[1], dtype=np.float32)[0]
        known = {f"item {n}": row for n, row in enumerate(self._rows)}
        return np.stack([known.get(str(view), axis) for view in views])


def test_new_text__is_embedded_here_and_said_not_to_be_consensus(tmp_path: Path) -> None:
    rows = drawn(20)
    with gallery_of(tmp_path, entries(rows[:19])) as gallery:
        answer = query(gallery, Query((Term("item 19"),), k=3), load=lambda: Model(rows))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.argsort(-unit[:19] @ unit[19])[:3]
    assert texts_of(answer.neighbours) == [f"item {n}" for n in order]
    assert answer.probe.models == ("stub",)
    assert answer.document()["consensus"] is False


def test_centred_gallery__is_probed_by_answers_centred_on_the_models_own_mean(tmp_path: Path) -> None:
    rows = drawn(40, spread=0.5)
    mean = (rows[:39] / np.linalg.norm(rows[:39], axis=1, keepdims=True)).mean(axis=0)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True) - mean
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    with gallery_of(tmp_path, entries(0.8 * unit[:39], epoch=5)) as gallery:
        gallery.learn_epochs({5: True})
        answer = query(gallery, Query((Term("item 39"),), k=38), load=lambda: Model(rows))
    order = np.argsort(-unit[:39] @ unit[39])[:38]
    assert texts_of(answer.neighbours) == [f"item {n}" for n in order]
    assert answer.space == "raw"


def test_selection__restricts_the_answers(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(drawn(10))) as gallery:
        gallery.make_collection("news")
        gallery.add("news", entries(drawn(3, seed=5), "news", source="b" * 64))
        found = query(gallery, Query((Term("item 0"),), selection=Selection(collection="news"), k=10))
        assert {one.collections for one in found.neighbours} == {("news",)}
        assert len(found.neighbours) == found.searched == 3
        rest = query(gallery, Query((Term("item 0"),), selection=Selection(without_sources=("bb",)), k=20))
        assert len(rest.neighbours) == 9
        with pytest.raises(GalleryError, match="no collection 'sport'"):
            query(gallery, Query((Term("item 0"),), selection=Selection(collection="sport")))


def test_distinct__leaves_out_near_copies_of_better_answers(tmp_path: Path) -> None:
    rows = drawn(12)
    rows[1:6] = rows[6] + 0.001 * drawn(5, seed=2)
    with gallery_of(tmp_path, entries(rows)) as gallery:
        crowded = query(gallery, Query((Term("item 0"),), k=12))
        clear = query(gallery, Query((Term("item 0"),), k=12, distinct=0.99))
    assert len(crowded.neighbours) == 11
    assert len(clear.neighbours) == 6
    assert clear.neighbours[0] == crowded.neighbours[0]


def test_cache__is_used_again_grown_and_repaired(tmp_path: Path) -> None:
    rows = drawn(30)
    told: list[int] = []
    with gallery_of(tmp_path, entries(rows[:20])) as gallery:

        def ask() -> list[str]:
            answer = query(
                gallery, Query((Term("item 0"),), k=5), on_work=lambda _, done, __: told.append(done)
            )
            return texts_of(answer.neighbours)

        first = ask()
        assert told == [20]
        assert ask() == first
        assert told == [20], "nothing was placed again"
        gallery.add("all", entries(rows))
        grown = ask()
        assert told == [20, 30]
        gallery.remove(Selection(item_id=id_of(grown[0])))
        assert ask() == [name for name in query_all(rows, grown[0])][:5]
        (vectors,) = Cache(gallery.path).folder.glob("*.vectors")
        with vectors.open("rb+") as file:
            file.write(np.full(1024, np.nan, "<f4").tobytes())
        assert ask() == query_all(rows, grown[0])[:5], "a damaged file is built anew"
        vectors.write_bytes(b"")
        assert ask() == query_all(rows, grown[0])[:5]


def query_all(rows: npt.NDArray[np.float32], without: str) -> list[str]:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return [f"item {n}" for n in np.argsort(-unit @ unit[0]) if n and f"item {n}" != without]
