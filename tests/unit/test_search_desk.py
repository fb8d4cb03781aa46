"""The search of a node: follows its store, survives restarts and damage, and refuses in words."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.search_process.following import floor_of
from node.search_process.wire import Find, Followed, Projection, Reason
from tests.support.certified_history import ITEMS, certified_history
from tests.support.galleries import moments_of
from tests.support.searchable import (
    Searchable,
    certified_vectors,
    ids_of,
    record_with_vectors,
    searchable,
    watched,
)

HISTORY = certified_history()
ROUNDS = len(HISTORY.facts)


def by_vector(vector: np.ndarray, **more: object) -> Find:
    return Find(**{"k": 10, "space": "newest", "vector": vector.tobytes(), **more})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Searchable:
    with searchable(tmp_path_factory.mktemp("full"), HISTORY) as here:
        for round_ in range(ROUNDS):
            here.certify(round_)
        here.follow()
        yield here  # type: ignore[misc]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, ROUNDS * ITEMS - 1), length=st.floats(1e-3, 1e3), k=st.integers(1, 100))
def test_vector_of_any_item__at_any_length_finds_it_first(
    full: Searchable, place: int, length: float, k: int
) -> None:
    name, vector = list(full.vectors.items())[place]
    found = full.find(by_vector((vector * np.float32(length)).astype("<f4"), k=k))
    assert found.hits[0].item_id == name
    assert found.hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert len(found.hits) == min(k, ROUNDS * ITEMS)
    scores = [one.score for one in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert not found.is_consensus


def test_hits__name_the_certified_report_of_their_round(full: Searchable) -> None:
    (fact,) = HISTORY.of_round(2)
    found = full.find(by_vector(full.vectors[ids_of(fact)[0]], k=1))
    (hit,) = found.hits
    assert (hit.round, hit.shard, hit.certificate) == (2, 0, fact.header.digest)
    assert hit.source == full.store.round(2, 0).dealer.hex()  # type: ignore[union-attr]
    assert (found.searched, found.method, found.space) == (ROUNDS * ITEMS, "exact", "epoch 0")


def test_item__is_not_among_its_neighbours_and_its_text_is(full: Searchable) -> None:
    name = full.items_of(1)[3]
    found = full.find(Find(5, "newest", item_id=name))
    assert found.is_consensus
    assert name not in [one.item_id for one in found.hits]
    # Its own neighbours, but for itself, are those of its vector.
    own = full.find(by_vector(full.vectors[name], k=6))
    assert [one.item_id for one in own.hits] == [name, *(one.item_id for one in found.hits)]
    text = full.find(Find(6, "newest", text=own.hits[0].preview))
    assert [one.item_id for one in text.hits] == [one.item_id for one in own.hits]
    assert (text.is_consensus, text.model) == (True, None)


def test_new_text__is_embedded_here_and_not_certified(full: Searchable) -> None:
    full.model.asked.clear()
    found = full.find(Find(4, "newest", text="no item says this"))
    assert (found.is_consensus, found.model, len(found.hits)) == (False, "hash", 4)
    assert full.model.asked == [1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, ROUNDS), after=st.integers(0, ROUNDS + 1), seed=st.integers(0, 99))
def test_filters__leave_only_what_is_asked(full: Searchable, first: int, after: int, seed: int) -> None:
    probe = np.random.default_rng(seed).normal(size=1024).astype("<f4")
    found = full.find(by_vector(probe, k=100, from_round=first, to_round=after))
    expected = {name for round_ in range(first, min(after, ROUNDS)) for name in full.items_of(round_)}
    assert {one.item_id for one in found.hits} == expected
    assert found.searched == len(expected)


def test_source__is_the_dealer_that_brought_an_item(full: Searchable) -> None:
    dealer = full.store.round(0, 0).dealer.hex()  # type: ignore[union-attr]
    found = full.find(by_vector(full.vectors[full.items_of(0)[0]], k=100, source=dealer[:8]))
    dealt = {fact.at.round for fact in HISTORY.facts if fact.header.signer.hex() == dealer}
    assert {one.round for one in found.hits} == dealt


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (Find(5, "newest", item_id=b"x" * 32), Reason.UNKNOWN_ITEM),
        (Find(5, "77", text="word"), Reason.UNKNOWN_SPACE),
        (Find(5, "newest", text="   "), Reason.INVALID),
        (Find(5, "newest", text="\x00"), Reason.INVALID),
        (Find(5, "newest", vector=b"\x00" * 4096), Reason.INVALID),
        (Find(5, "newest", vector=b"\xff" * 4096), Reason.INVALID),
        (Find(5, "newest", vector=b"\x01" * 4095), Reason.INVALID),
        (Find(1_000_000, "newest", text="word"), Reason.INVALID),
        (Projection(9, "77"), Reason.UNKNOWN_SPACE),
    ],
)
def test_what_cannot_be_answered__is_refused_without_paths(
    full: Searchable, asked: Find | Projection, reason: Reason
) -> None:
    response = full.desk.answer(asked)
    assert response.refused is not None, response
    assert response.refused.reason is reason
    assert str(full.path.parent) not in response.refused.message


def test_search__follows_the_store_round_by_round_and_over_restarts(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        nothing = here.find(by_vector(np.ones(1024, "<f4")))
        assert (nothing.hits, nothing.space, nothing.searched) == ((), None, 0)
        for round_ in range(3):
            here.certify(round_)
            told = here.follow()
            assert (told.added, told.items, told.left) == (ITEMS, ITEMS * (round_ + 1), 0)
            for name in here.items_of(round_):
                assert here.find(by_vector(here.vectors[name], k=1)).hits[0].item_id == name
        assert here.follow().added == 0
        here.desk.close()
        here.certify(3)
        here.desk = here.opened()
        assert (here.follow().added, here.follow().items) == (ITEMS, 4 * ITEMS)


def test_long_history__is_taken_in_by_parts_newest_first(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        for round_ in range(4):
            here.certify(round_)
        for left in (3, 2, 1, 0):
            assert here.follow(within_s=0.0).left == left
            name = here.items_of(left)[0]
            assert here.find(by_vector(here.vectors[name], k=1)).hits[0].item_id == name


def test_first_question__of_an_empty_search_is_answered_from_the_store(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        here.certify(0)
        assert here.find(by_vector(np.ones(1024, "<f4"))).searched == ITEMS


def test_item_certified_a_moment_ago__is_known_before_its_round_is_followed(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        here.certify(0)
        here.follow()
        here.certify(1)
        by_id = here.find(Find(3, "newest", item_id=here.items_of(1)[0]))
        assert (by_id.is_consensus, by_id.searched) == (True, 2 * ITEMS - 1)
        here.certify(2)
        text = HISTORY.facts[2].items[0].decode()
        by_text = here.find(Find(3, "newest", text=text))
        assert (by_text.is_consensus, by_text.hits[0].preview) == (True, text)
        assert (here.follow().added, here.model.asked) == (0, [])


def test_round_looked_at_before_it_is_certified__is_taken_in_once_it_is(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        here.certify(0)
        here.follow()
        (fact,) = HISTORY.of_round(1)
        early: list[Followed] = []
        looked_at = watched(here.store, lambda: early.append(here.follow()))
        record_with_vectors(looked_at, HISTORY, fact)
        assert [(told.added, told.items, told.left) for told in early] == [(0, ITEMS, 0)]
        assert (here.follow().items, here.follow().added) == (2 * ITEMS, 0)


def test_more_than_the_bound__leaves_the_newest_rounds(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY, items_max=3 * ITEMS) as here:
        for round_ in range(ROUNDS):
            here.certify(round_)
            told = here.follow()
            assert told.items <= 3 * ITEMS
            # Nothing that stays has to be read again.
            assert len(here.desk._following.gallery.taken_names("network")) == told.items // ITEMS
        # What was dropped does not come back.
        told = here.follow()
        assert (told.added, told.left) == (0, 0)
        found = here.find(by_vector(np.ones(1024, "<f4"), k=100))
        kept = {one.round for one in found.hits}
        assert {4, 5} <= kept <= {3, 4, 5}
        here.desk.close()
        here.desk = here.opened()
        assert here.follow().items <= 3 * ITEMS


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30)), max_size=20, unique_by=lambda one: one[0]),
    st.integers(1, 200),
)
def test_floor__keeps_the_newest_rounds_that_fit(rounds: list[tuple[int, int]], most: int) -> None:
    rounds = sorted(rounds)
    floor = floor_of(rounds, most)
    kept = [count for round_, count in rounds if round_ >= floor]
    assert sum(kept) <= most or len(kept) == 1
    left = [count for round_, count in rounds if round_ < floor]
    assert not left or sum(kept) + left[-1] > most


@pytest.mark.parametrize("damage", ["garbage", "cut", "gone", "cache"])
def test_damaged_files__are_dropped_and_filled_anew(tmp_path: Path, damage: str) -> None:
    with searchable(tmp_path, HISTORY) as here:
        for round_ in range(3):
            here.certify(round_)
        here.follow()
        name = here.items_of(1)[0]
        assert here.find(by_vector(here.vectors[name], k=1)).hits[0].item_id == name
        here.desk.close()
        data = here.path.read_bytes()
        match damage:
            case "garbage":
                here.path.write_bytes(b"\xa5" * len(data))
            case "cut":
                here.path.write_bytes(data[: len(data) // 2])
            case "gone":
                here.path.unlink()
            case _:
                for file in (tmp_path / "search.sqlite.cache").iterdir():
                    file.write_bytes(b"\xa5" * 100)
        here.desk = here.opened()
        here.follow()
        found = here.find(by_vector(here.vectors[name], k=1))
        assert (found.hits[0].item_id, found.searched) == (name, 3 * ITEMS)


def test_damage_of_a_running_search__is_mended_too(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        here.certify(0)
        here.follow()
        # The node's own files are written by nobody else: a disk that fails is what is meant.
        gallery = here.desk._following.gallery
        gallery._connection.execute("DROP TABLE vectors")
        name = here.items_of(0)[0]
        assert here.find(Find(3, "newest", item_id=name)).searched == ITEMS - 1


def test_search_of_another_network__is_dropped(tmp_path: Path) -> None:
    other = certified_history(2, 2)
    with searchable(tmp_path / "a", other) as here:
        here.certify(0)
        here.follow()
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a/search.sqlite", tmp_path / "b/search.sqlite")
    with searchable(tmp_path / "b", HISTORY) as here:
        here.certify(0)
        assert here.follow().items == ITEMS


def test_map__of_an_early_epoch_is_that_of_principal_components_and_stays(tmp_path: Path) -> None:
    with searchable(tmp_path, HISTORY) as here:
        assert here.draw(Projection(9, "newest")).points == ()
        here.certify(0)
        few = here.draw(Projection(100, "newest"))
        assert len(few.points) == ITEMS
        for round_ in range(1, ROUNDS):
            here.certify(round_)
        here.follow()
        drawn = here.draw(Projection(100, "newest"))
        assert [one.round for one in drawn.points] == sorted(
            (one.round for one in drawn.points), reverse=True
        )
        assert drawn == here.draw(Projection(100, "newest"))
        assert len(here.draw(Projection(5, "newest")).points) == 5
        some = drawn.points[::9]
        asked = here.draw(Projection(1, "newest", tuple(one.item_id for one in some)))
        assert asked.points == some


@pytest.mark.slow
def test_map_of_a_shaped_space__does_not_move_when_others_come(tmp_path: Path) -> None:
    rows = np.stack(list(certified_vectors(HISTORY).values()))
    with searchable(tmp_path, HISTORY) as here:
        here.certify(0)
        here.follow()
        here.desk._following.gallery.learn_space(7, moments_of(rows, centred=False))
        before = {one.item_id: (one.x, one.y) for one in here.draw(Projection(100, "7")).points}
        for round_ in range(1, ROUNDS):
            here.certify(round_)
        here.follow()
        drawn = here.draw(Projection(100, "7"))
        after = {one.item_id: (one.x, one.y) for one in drawn.points}
        assert drawn.space == "epoch 7"
        assert before.items() <= after.items()
        here.desk.close()
        here.desk = here.opened()
        assert here.draw(Projection(100, "7")) == drawn
        # The directions are those in which the learnt vectors differ most.
        places = np.array(list(after.values()))
        assert places.std(axis=0).min() > 1.5 * 1 / 32
