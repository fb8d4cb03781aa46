"""Adding to a gallery: duplicates are one, better vectors win, quotas hold, whatever the order."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.gallery import Entry, Gallery, GalleryError, GalleryStorageError, Origin, Selection
from node.gallery.collections_table import Taken
from node.gallery.entries import source_name
from node.gallery.items_table import EVERYTHING
from node.gallery.limits import COLLECTIONS_MAX, PREVIEW_CHARACTERS, SOURCE_CHARACTERS
from node.gallery.preview import preview_of_item
from tests.support.galleries import NETWORK_ID, drawn, entries, entry, gallery_of, id_of

ROWS = drawn(8)
OFFERS = st.lists(
    st.tuples(
        st.sampled_from(["news", "sport"]),
        st.lists(
            st.builds(
                lambda text, source, round_, origin: entry(
                    f"text {text}", ROWS[round_], round_=round_, source=source, origin=origin
                ),
                st.integers(0, 9),
                st.sampled_from(["a", "b", "c"]),
                st.integers(0, 7),
                st.sampled_from(list(Origin)),
            ),
            max_size=8,
        ),
    ),
    max_size=6,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OFFERS)
def test_any_offers__keep_every_quota_and_the_best_vector_of_each_item(
    tmp_path_factory: pytest.TempPathFactory, offers: list[tuple[str, list[Entry]]]
) -> None:
    with gallery_of(tmp_path_factory.mktemp("g"), []) as gallery:
        gallery.make_collection("news", items_max=6, source_items_max=3)
        gallery.make_collection("sport", items_max=4, source_items_max=9)
        seen: dict[bytes, list[Entry]] = {}
        for name, offered in offers:
            added = gallery.add(name, offered)
            counts = added.new + added.replaced + added.joined + added.known + added.unusable
            assert counts + added.left_out == len(offered)
            for one in offered:
                seen.setdefault(one.item_id, []).append(one)
        for facts in gallery.collections():
            if facts.name == "all":
                continue
            items = gallery.items_of(Selection(collection=facts.name), 100)
            tally = Counter(one.source for one in items)
            assert facts.items == len(items) <= facts.items_max
            assert max(tally.values(), default=0) == facts.largest_source_items <= facts.source_items_max
        part = gallery.vector_rows(gallery.rows(EVERYTHING).tolist())
        for row, vector in zip(part.rows.tolist(), part.vectors, strict=True):
            item = gallery.items_at([row])[row]
            assert vector.tobytes() == ROWS[item.round].tobytes()
            if item.origin is Origin.EXPORT:
                continue
            assert item.round <= max(one.round for one in seen[item.item_id] if one.origin.certified)


def test_better_vector__replaces_and_a_worse_one_does_not(tmp_path: Path) -> None:
    text = "one item"
    ladder = [
        entry(text, ROWS[0] / np.linalg.norm(ROWS[0]), space=4, origin=Origin.EXPORT, round_=9),
        entry(text, ROWS[1], origin=Origin.EXPORT, round_=1),
        entry(text, ROWS[2], origin=Origin.EXPORT, round_=2),
        entry(text, ROWS[3], origin=Origin.BUNDLE, round_=0),
        entry(text, ROWS[4], origin=Origin.STORE, round_=5),
    ]
    with gallery_of(tmp_path, []) as gallery:
        for step, better in enumerate(ladder):
            assert gallery.add("all", [better]).replaced == bool(step)
            for worse in ladder[: step + 1]:
                assert gallery.add("all", [worse]).known == 1
        assert gallery.count(EVERYTHING) == 1
        (part,) = gallery.vectors_after(0)
        assert part.vectors[0].tobytes() == ladder[-1].vector


def test_vectors_nobody_can_search__are_counted_and_left_out(tmp_path: Path) -> None:
    bad = [np.zeros(1024), np.full(1024, np.nan), np.full(1024, 1e38), np.full(1024, 1.0)]
    bad += [np.where(np.arange(1024) == 7, np.inf, 0.01), np.full(1024, 1e-12)]
    rows = np.stack(bad).astype(np.float32)
    half = entry("half", ROWS[0] * 0.5, space=3)
    with gallery_of(tmp_path, []) as gallery:
        added = gallery.add("all", [*entries(rows), half, entry("good", ROWS[0])])
        assert (added.unusable, added.new) == (7, 1)


def test_flood_of_one_source__leaves_room_for_others(tmp_path: Path) -> None:
    with gallery_of(tmp_path, []) as gallery:
        gallery.make_collection("news", items_max=10, source_items_max=6)
        flood = gallery.add("news", entries(drawn(30), "flood", source="mallory"))
        assert (flood.new, flood.over_quota) == (6, {"mallory": 24})
        assert gallery.add("news", entries(drawn(4), "honest", source="alice")).new == 4
        assert gallery.add("news", entries(drawn(1), "late", source="bob")).over_quota == {"bob": 1}
        gallery.remove(Selection(source="mallory"))
        assert gallery.add("news", entries(drawn(1), "late", source="bob")).new == 1


def test_item_of_two_collections__is_kept_once_until_it_left_both(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(ROWS)) as gallery:
        gallery.make_collection("news")
        assert gallery.add("news", entries(ROWS[:3])).joined == 3
        assert gallery.count(EVERYTHING) == 8
        assert gallery.remove(Selection(collection="all", to_round=9)) == 8
        assert gallery.count(EVERYTHING) == 3
        row = int(gallery.rows(EVERYTHING)[0])
        assert gallery.collections_of([row]) == {row: ["news"]}
        assert gallery.drop_collection("news") == 3
        assert gallery.count(EVERYTHING) == 0
        assert [one.name for one in gallery.collections()] == ["all"]


def test_progress__is_kept_with_what_was_added_and_forgotten_with_what_is_removed(tmp_path: Path) -> None:
    with gallery_of(tmp_path, []) as gallery:
        gallery.add("all", entries(ROWS[:4]), "file", 4)
        assert gallery.taken("all", "file") == Taken(4, False)
        gallery.make_collection("all", source_items_max=5)
        assert gallery.add("all", entries(ROWS), "file", 8).left_out == 3
        assert gallery.taken("all", "file") == Taken(4, False), "what a quota left out is offered again"
        gallery.take_whole("all", "file", 8)
        assert gallery.taken_names("all") == {"file"}
        gallery.remove(Selection(item_id=id_of("item 0")))
        assert gallery.taken_names("all") == set()


def test_bad_names_quotas_and_too_many_collections__are_refused(tmp_path: Path) -> None:
    with gallery_of(tmp_path, []) as gallery:
        for name in ("", "UPPER", "a b", "../x", "-a", "a" * 65, "\x1b[2J"):
            with pytest.raises(GalleryError, match="cannot name"):
                gallery.make_collection(name)
        with pytest.raises(GalleryError, match="a quota is"):
            gallery.make_collection("x", items_max=0)
        for number in range(COLLECTIONS_MAX - 1):
            gallery.make_collection(f"c{number}")
        with pytest.raises(GalleryError, match="at most"):
            gallery.make_collection("one-more")
        with pytest.raises(GalleryError, match="no collection"):
            gallery.add("other", [])


def test_vectors_of_another_network_or_modality__are_refused(tmp_path: Path) -> None:
    with gallery_of(tmp_path, []) as gallery:
        with pytest.raises(GalleryError, match="networks share no space"):
            gallery.bind(b"\x08" * 32, "text")
        with pytest.raises(GalleryError, match="these items are image"):
            gallery.bind(NETWORK_ID, "image")


def fill(gallery: Gallery) -> None:
    for number in range(1_000):
        gallery.add("all", entries(ROWS, f"more {number}"))


def test_full_gallery__is_one_sentence_and_keeps_what_it_had(tmp_path: Path) -> None:
    gallery_of(tmp_path, entries(ROWS)).close()
    path = tmp_path / "g.sqlite"
    with Gallery.open(path, size_bytes_max=path.stat().st_size + (1 << 20)) as gallery:
        with pytest.raises(GalleryStorageError, match="is full"):
            fill(gallery)
        assert gallery.count(EVERYTHING) % len(ROWS) == 0
        gallery.remove(Selection(item_id=id_of("item 0")))


def test_removed_vectors__give_their_space_back(tmp_path: Path) -> None:
    with gallery_of(tmp_path, entries(drawn(400))) as gallery:
        gallery._all("PRAGMA wal_checkpoint(TRUNCATE)")
        full_bytes = gallery.path.stat().st_size
        gallery.remove(Selection(source="a"))
        gallery._all("PRAGMA wal_checkpoint(TRUNCATE)")
        assert gallery.path.stat().st_size < full_bytes / 2


def test_preview__says_in_a_few_words_what_is_no_text() -> None:
    for modality, data, shown in [
        ("text", b"a word", "a word"),
        ("text", b"x" * 5_000, "x" * (PREVIEW_CHARACTERS - 1) + "…"),
        ("image", struct.pack(">HH", 48, 64) + bytes(48 * 64 * 3), "image 64x48"),
        ("audio", struct.pack(">HH", 125, 256), "audio 2.0 s"),
        ("series", struct.pack(">HH", 16, 1), "series of 16 steps, 1 channel"),
        ("bytes", b"\x1b[2J", "4 bytes: 1b 5b 32 4a"),
        ("image", None, "image, not held here"),
    ]:
        assert preview_of_item(modality, data) == shown


def test_source_name__is_printable_and_bounded() -> None:
    assert source_name("\x1b[2Jevil" + "x" * 500) == "?[2Jevil" + "x" * (SOURCE_CHARACTERS - 8)
    assert source_name("") == "?"
