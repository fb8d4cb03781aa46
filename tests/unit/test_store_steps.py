"""Steps of a round in the store: in order, as they were, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import node.store.steps
from node.store import StepRecord, Store, StoreError
from tests.support.certified_history import open_store

keys = st.lists(st.binary(min_size=32, max_size=32), max_size=4).map(tuple)
numbers = st.integers(0, 2**40)
records = st.builds(
    StepRecord,
    round=st.integers(0, 3),
    shard=st.integers(0, 1),
    step=st.sampled_from(["dealt", "locked", "void"]),
    wave=st.integers(0, 3),
    elapsed_ms=numbers,
    answered=keys,
    missing=keys,
    detail=st.text(max_size=50).filter(lambda text: text.isprintable()),
    at_ms=numbers,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as store:
        yield store


def step(round_: int = 0, **changes: object) -> StepRecord:
    values: dict[str, object] = {
        "shard": 0,
        "step": "dealt",
        "wave": 0,
        "elapsed_ms": 0,
        "answered": (),
        "missing": (),
        "detail": "",
        "at_ms": 0,
        **changes,
    }
    return StepRecord(round_, **values)  # type: ignore[arg-type]


@given(written=st.lists(records, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_steps__come_back_as_they_were_in_the_order_of_writing(
    tmp_path_factory: pytest.TempPathFactory, written: list[StepRecord]
) -> None:
    with open_store(tmp_path_factory.mktemp("steps")) as store:
        for record in written:
            store.record_step(record)
        for round_ in range(4):
            for shard in range(2):
                expected = [one for one in written if (one.round, one.shard) == (round_, shard)]
                assert store.steps(round_, shard) == expected


def test_steps_of_a_round__are_bounded_and_other_rounds_are_not_touched(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.store.steps, "STEPS_PER_ROUND_MAX", 3)
    for _ in range(3):
        store.record_step(step())
    with pytest.raises(StoreError, match="has 3 steps already"):
        store.record_step(step())
    store.record_step(step(1))
    assert len(store.steps(0, 0)) == 3
    assert len(store.steps(1, 0)) == 1


def test_long_detail__is_cut(store: Store) -> None:
    store.record_step(step(detail="x" * 5000))
    assert store.steps(0, 0)[0].detail == "x" * 1000


def test_steps__go_with_the_retention_of_their_round(store: Store) -> None:
    for round_ in range(4):
        store.record_step(step(round_))
    store.prune_rounds(2)
    assert [len(store.steps(round_, 0)) for round_ in range(4)] == [0, 0, 1, 1]
