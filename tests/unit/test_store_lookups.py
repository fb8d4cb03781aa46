"""Look-ups of readers: each goes through an index, whatever the size of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.store import DisputeRecord, EvidenceRecord, Store
from tests.support.bounded_store import bounded_store, key

LOOKUPS: dict[str, Callable[[Store], object]] = {
    "heads": lambda store: store.round_heads(20, 100),
    "place of report": lambda store: store.place_of_report(key(1)),
    "scored since": lambda store: store.scored_since(20),
    "averages": lambda store: store.averages_of([key(1), key(2)], 4),
    "newest scores": lambda store: store.newest_scores_of([key(1)]),
    "registration": lambda store: store.registration_of(key(1), [6, 0]),
    "disputes": lambda store: store.newest_disputes(50),
    "disputes of a round": lambda store: store.newest_disputes(50, 7, 3),
    "evidence": lambda store: store.newest_evidence(50, 7),
    "evidence against one": lambda store: store.newest_evidence(50, None, key(1)),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with bounded_store(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("name", LOOKUPS)
def test_lookup__goes_through_an_index(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, list[object]]] = []

    def recording(_: Store, sql: str, values: object = ()) -> list[object]:
        asked.append((sql, list(values)))  # type: ignore[call-overload]
        return []

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_all", recording)
        patch.setattr(Store, "_one", lambda *told: (recording(*told), None)[1])
        LOOKUPS[name](store)
    assert asked
    for sql, values in asked:
        steps = [row[3] for row in store._all(f"EXPLAIN QUERY PLAN {sql}", values)]
        # By rowid, newest first, with a limit: no more rows are read than are told.
        by_rowid = "ORDER BY rowid DESC" in sql
        scans = [step for step in steps if step.startswith("SCAN") and "USING" not in step]
        assert not scans or by_rowid, steps
        if name in ("disputes of a round", "evidence against one"):
            assert any("USING INDEX" in step for step in steps), steps


def test_findings__are_paged_within_a_round_and_against_a_key(store: Store) -> None:
    for number in range(4):
        store.put_dispute(DisputeRecord(key(number), number % 2, 0, key(9), b"envelope", 1))
    page = store.newest_disputes(1, round=1)
    assert [one.digest for _, one in page] == [key(3)]
    assert [one.digest for _, one in store.newest_disputes(5, page[-1][0], 1)] == [key(1)]
    assert len(store.newest_disputes(5)) == 4
    assert store.newest_disputes(2, round=7) == []
    for number in range(2):
        store.put_evidence(EvidenceRecord(key(number), key(8 + number), "equivocation", b"envelope", 1))
    assert [one.digest for _, one in store.newest_evidence(5)] == [key(1), key(0)]
    assert [one.digest for _, one in store.newest_evidence(5, offender=key(8))] == [key(0)]
