"""Items: the queue of what waits, and the memory of what was released."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.store import (
    VECTOR_BYTES,
    EmbeddingRecord,
    ItemState,
    Put,
    QueueFull,
    RoundRecord,
    RoundState,
    Store,
    StoreError,
)
from tests.support.bounded_store import bounded_store, key, submit


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with bounded_store(tmp_path) as opened:
        yield opened


def embed(store: Store, item_id: bytes, round_: int) -> None:
    store.record_round(RoundRecord(0, round_, 0, RoundState.REPORTED, 0))
    store.record_embeddings([EmbeddingRecord(item_id, round_, 0, 0, 0, bytes(VECTOR_BYTES))])


def test_items__queue_is_bounded_by_number(store: Store) -> None:
    assert [submit(store, number) for number in range(3)] == [Put.NEW] * 3
    with pytest.raises(QueueFull, match="3 items"):
        submit(store, 3)
    assert submit(store, 2) is Put.KNOWN
    store.mark_dealt([key(0)], round=1)
    assert submit(store, 3) is Put.NEW


def test_items__queue_is_bounded_by_bytes(store: Store) -> None:
    submit(store, 0, 50)
    submit(store, 1, 50)
    with pytest.raises(QueueFull, match="100 bytes"):
        submit(store, 2, 1)


def test_items__oversize_item_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="split it"):
        submit(store, 0, 51)


def test_items__dealt_released_certified_in_order(store: Store) -> None:
    for number in range(3):
        submit(store, number)
    assert [each.item_id for each in store.pending(2)] == [key(0), key(1)]
    store.mark_dealt([key(0), key(1)], round=4)
    store.mark_released([key(0)], round=4)
    store.mark_certified([key(0)], round=4)
    store.mark_released([key(0)], round=9)
    item = store.item(key(0))
    assert item is not None
    assert (item.state, item.round, item.released_round) == (ItemState.CERTIFIED, 4, 4)
    embed(store, key(0), 4)
    assert submit(store, 0) is Put.KNOWN
    counts = store.item_counts()
    assert [counts[state] for state in ItemState] == [1, 1, 0, 1]


def test_items__of_a_void_round_return_to_be_served_never_scored(store: Store) -> None:
    for number in range(2):
        submit(store, number)
    store.mark_dealt([key(0), key(1)], round=4)
    store.mark_released([key(0)], round=4)
    store.mark_released([key(7)], round=4)
    assert store.requeue_items(4) == 2
    assert [(each.item_id, each.released_round) for each in store.pending(5)] == [(key(0), 4), (key(1), None)]
    assert store.released_among([key(0), key(1), key(7)]) == {key(0), key(7)}


def test_items__released_elsewhere_may_be_submitted_but_stays_released(store: Store) -> None:
    store.mark_released([key(1)], round=4)
    assert submit(store, 1) is Put.NEW
    assert submit(store, 1) is Put.KNOWN
    (item,) = store.pending(5)
    assert item.released_round == 4
    assert store.released_among([key(1)]) == {key(1)}


def test_items__certified_elsewhere_is_known(store: Store) -> None:
    store.mark_certified([key(1)], round=4)
    embed(store, key(1), 4)
    assert submit(store, 1) is Put.KNOWN


def test_items__certified_without_embedding_may_be_submitted_again_but_stays_released(store: Store) -> None:
    submit(store, 1)
    store.mark_certified([key(1)], round=4)
    assert submit(store, 1) is Put.NEW
    assert submit(store, 1) is Put.KNOWN
    (item,) = store.pending(5)
    assert item.content is not None
    assert item.released_round == 4
    store.mark_certified([key(1)], round=9)
    embed(store, key(1), 9)
    assert submit(store, 1) is Put.KNOWN
    assert store.pending(5) == []


def test_items__many_ids_are_looked_up_in_batches(store: Store) -> None:
    ids = [key(number) for number in range(1_300)]
    store.mark_released(ids[::2], round=1)
    assert store.released_among(ids) == set(ids[::2])


ITEM_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "mark_dealt", "mark_released", "mark_certified", "requeue"]),
        st.integers(0, 4),
        st.integers(1, 2),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(steps=ITEM_STEPS)
def test_items__queue_length_and_release_memory_hold_in_any_order(
    steps: list[tuple[str, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("items")
    released: set[bytes] = set()
    with Store.open(folder / "store.sqlite", folder / "blobs") as store:
        for step, number, round_ in steps:
            if step == "submit":
                submit(store, number, size_bytes=number)
            elif step == "requeue":
                store.requeue_items(round_)
            else:
                getattr(store, step)([key(number)], round_)
                released |= {key(number)} if step != "mark_dealt" else set()
            counted = store._one(
                "SELECT count(*), coalesce(sum(length(content)), 0) FROM items WHERE state = 'pending'"
            )
            assert store._one("SELECT items, size_bytes FROM queue") == counted
            assert store.released_among([key(each) for each in range(5)]) == released
