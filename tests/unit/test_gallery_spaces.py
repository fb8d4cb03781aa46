"""One space for all vectors of an answer: chosen, named, the same as the node's own, and never a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from node.gallery import Gallery, GalleryStorageError, MixedSpacesError, ProbeError, Query, Term, query
from node.gallery.cache import Cache
from node.gallery.database import GalleryFile
from node.gallery.items_table import EVERYTHING, Selection
from node.gallery.limits import CACHED_SPACES, SPACES_KEPT
from node.gallery.spaces import choose_space
from node.gallery.transform import affine_of
from node.space import SpaceError, transform_of
from protocol.epochs.learnt import moments_from
from protocol.hashing import content_digest
from tests.support.galleries import drawn, entries, gallery_of, moments_of, texts_of

ROWS = drawn(60, spread=0.7)
CENTRED = ROWS - ROWS.mean(axis=0)


@pytest.fixture(scope="module")
def shaped_by_7() -> bytes:
    return moments_of(CENTRED, centred=True, other=ROWS)


@pytest.mark.slow
def test_affine__is_the_shaping_of_the_epoch(tmp_path: Path, shaped_by_7: bytes) -> None:
    cache = Cache(tmp_path / "g.sqlite")
    transform = transform_of(moments_from(shaped_by_7))
    with cache.building():
        for _ in range(2):  # made, then read from the cache
            affine = affine_of(b"s" * 32, lambda: shaped_by_7, cache)
            cache.transforms.clear()
            for centred, rows in ((True, CENTRED), (False, ROWS)):
                placed = affine.apply(rows, np.full(len(rows), centred))
                expected = transform.of(centred).apply(rows)
                np.testing.assert_allclose(placed, expected, atol=2e-6)
        (file,) = cache.folder.glob("*.npz")
        file.write_bytes(file.read_bytes()[:-1000])
        again = affine_of(b"s" * 32, lambda: shaped_by_7, cache)
        np.testing.assert_array_equal(again.mean, affine.mean)


def test_newest_known_space__takes_vectors_of_all_epochs(tmp_path: Path, shaped_by_7: bytes) -> None:
    with gallery_of(tmp_path, entries(ROWS[:30], epoch=0)) as gallery:
        gallery.add("all", entries(CENTRED[30:], "late", epoch=5, round_=40))
        gallery.learn_space(7, shaped_by_7)
        with pytest.raises(MixedSpacesError, match="epochs 5 are not known"):
            choose_space(gallery, gallery.kinds(EVERYTHING))
        gallery.learn_epochs({5: True})
        answer = query(gallery, Query((Term("item 0"),), k=60))
    assert answer.space == "epoch 7"
    transform = transform_of(moments_from(shaped_by_7))
    early = transform.of(False).apply(ROWS[:30])
    late = transform.of(True).apply(CENTRED[30:])
    cosines = np.concatenate([early, late]) @ early[0]
    names = [f"item {n}" for n in range(30)] + [f"late {n}" for n in range(30)]
    assert texts_of(answer.neighbours) == [names[n] for n in np.argsort(-cosines) if n]


def test_raw_space__of_vectors_centred_differently_is_refused(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS[:3], epoch=1)) as gallery:
        assert choose_space(gallery, gallery.kinds(EVERYTHING), "raw").name == "raw"
        gallery.learn_epochs({4: True})
        gallery.add("all", entries(CENTRED[:3], "late", epoch=4))
        for wanted in ("raw", "newest"):
            with pytest.raises(MixedSpacesError, match="centred differently"):
                query(gallery, Query((Term("item 0"),), space=wanted))


def test_shaped_vectors__lie_in_their_space_and_no_other(tmp_path: Path, shaped_by_7: bytes) -> None:
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    with gallery_of(tmp_path, entries(unit[:5], space=7)) as gallery:
        answer = query(gallery, Query((Term("item 0"),), k=4))
        assert answer.space == "epoch 7"
        np.testing.assert_allclose(
            [one.score for one in answer.neighbours], np.sort(unit[1:5] @ unit[0])[::-1], atol=1e-5
        )
        for wanted, refusal in (("raw", "came shaped"), ("9", "of epoch 9 is not known")):
            with pytest.raises((MixedSpacesError, SpaceError), match=refusal):
                query(gallery, Query((Term("item 0"),), space=wanted))
        with pytest.raises(ProbeError, match="cannot be brought into space epoch 7"):
            query(gallery, Query((Term("new"),)), load=lambda: pytest.fail("no model can help"))
        gallery.add("all", entries(ROWS[5:9], "raw", epoch=0))
        with pytest.raises(MixedSpacesError):
            query(gallery, Query((Term("item 0"),)))
        gallery.learn_space(7, shaped_by_7)
        assert query(gallery, Query((Term("raw 0"),))).space == "epoch 7"
        gallery.add("all", entries(unit[20:22], "other", space=3))
        with pytest.raises(MixedSpacesError, match="2 vectors in that of epoch 3"):
            query(gallery, Query((Term("item 0"),)))


def test_part_that_fits__can_be_searched_by_itself(tmp_path: Path) -> None:
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    with gallery_of(tmp_path, entries(unit[:5], space=7)) as gallery:
        gallery.make_collection("raw")
        gallery.add("raw", entries(ROWS[5:9], "raw", epoch=0))
        asked = Query((Term("raw 0"),), selection=Selection(collection="raw"))
        answer = query(gallery, asked)
    assert (answer.space, len(answer.neighbours)) == ("epoch 0", 3)


def test_other_moments_of_one_epoch__are_another_space(tmp_path: Path) -> None:
    made = []
    for learnt in (b"", b"\x01", b"\x02"):
        folder = tmp_path / learnt.hex().ljust(2, "_")
        folder.mkdir()
        with gallery_of(folder, entries(ROWS[:2], epoch=0)) as gallery:
            gallery.learn_space(7, learnt)
            made.append(choose_space(gallery, gallery.kinds(EVERYTHING)).fingerprint)
    assert len(set(made)) == 3


@pytest.mark.slow
def test_changed_transform__is_never_answered_from_what_was_placed_before(
    tmp_path: Path, shaped_by_7: bytes
) -> None:
    with gallery_of(tmp_path, entries(ROWS, epoch=0)) as gallery:
        gallery.learn_space(7, shaped_by_7)
        before = query(gallery, Query((Term("item 0"),), k=59))
        gallery.learn_space(8, moments_of(ROWS[:, ::-1].copy(), centred=False))
        after = query(gallery, Query((Term("item 0"),), k=59))
        again = query(gallery, Query((Term("item 0"),), k=59, space="7"))
    assert (before.space, after.space) == ("epoch 7", "epoch 8")
    assert texts_of(before.neighbours) != texts_of(after.neighbours)
    assert again.neighbours == before.neighbours


class Node:
    """A node that knows epoch 9."""

    def __init__(self, moments: bytes) -> None:
        self._moments = moments

    def newest(self) -> int:
        return 9

    def moments_digest(self, epoch: int) -> bytes | None:
        return content_digest(self._moments) if epoch == 9 else None

    def moments(self, epoch: int) -> bytes | None:
        return self._moments if epoch == 9 else None

    def centred(self, epochs: Sequence[int]) -> Mapping[int, bool]:
        return dict.fromkeys(epochs, True)


def test_node_beside__lends_its_newer_space(tmp_path: Path, shaped_by_7: bytes) -> None:
    with gallery_of(tmp_path, entries(CENTRED, epoch=8)) as gallery:
        answer = query(gallery, Query((Term("item 0"),)), node=Node(shaped_by_7))
        assert answer.space == "epoch 9"
        assert query(gallery, Query((Term("item 0"),))).space == "raw"


def test_spaces_kept__are_the_newest_few(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS[:4], epoch=0)) as gallery:
        for epoch in (5, 2, 9, 4, 7, 8):
            gallery.learn_space(epoch, b"")
        assert gallery.spaces() == [9, 8, 7, 5][:SPACES_KEPT]
        for epoch in gallery.spaces():
            assert query(gallery, Query((Term("item 0"),), space=str(epoch))).space == f"epoch {epoch}"
        assert len(list(Cache(gallery.path).folder.glob("*.vectors"))) == CACHED_SPACES


def test_damaged_moments__are_told_and_not_used(tmp_path: Path, shaped_by_7: bytes) -> None:
    with gallery_of(tmp_path, entries(ROWS[:4], epoch=0)) as gallery:
        gallery.learn_space(7, shaped_by_7)
        with gallery._transaction() as database:
            database.execute("UPDATE spaces SET moments = x'00'")
        with pytest.raises(GalleryStorageError, match="moments of epoch 7"):
            query(gallery, Query((Term("item 0"),)))


def test_other_databases_and_newer_galleries__are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    gallery_of(tmp_path, []).close()
    with GalleryFile.open(path) as gallery, gallery._transaction() as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(GalleryStorageError, match="version 99"):
        Gallery.open(path)
    other = tmp_path / "other.sqlite"
    import sqlite3

    with sqlite3.connect(other) as foreign:
        foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    with pytest.raises(GalleryStorageError, match="database of another program"):
        Gallery.open(other, create=True)
    other.write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    with pytest.raises(GalleryStorageError, match="damaged or no gallery"):
        Gallery.open(other)
    with pytest.raises(GalleryStorageError, match="there is no gallery"):
        Gallery.open(tmp_path / "none.sqlite")
