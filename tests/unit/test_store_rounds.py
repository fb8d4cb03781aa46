"""Rounds and their scores: what is merged, paged and averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.store import (
    RoundRecord,
    RoundState,
    ScoreAverage,
    ScoreRecord,
    Store,
    StoreError,
)
from node.store.rounds import merge
from tests.support.bounded_store import bounded_store, key, record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with bounded_store(tmp_path) as opened:
        yield opened


RECORDS = st.builds(
    RoundRecord,
    epoch=st.just(0),
    round=st.just(1),
    shard=st.just(0),
    state=st.sampled_from([RoundState.OPEN, RoundState.REPORTED, RoundState.VOID]),
    updated_ms=st.integers(0, 9),
    dealer=st.none() | st.just(key(1)),
    report_digest=st.none() | st.sampled_from([key(2), key(3)]),
    header=st.none() | st.sampled_from([b"header 2", b"header 3"]),
    timings_ms=st.dictionaries(st.sampled_from(["wave1", "wave2"]), st.integers(0, 9)),
)
CERTIFIED = RECORDS.map(lambda r: replace(r, state=RoundState.CERTIFIED, certificate=b"certificate"))


@given(known=CERTIFIED, offers=st.lists(RECORDS | CERTIFIED, max_size=5))
def test_merge__certified_round_never_rewritten(known: RoundRecord, offers: list[RoundRecord]) -> None:
    merged = known
    for offered in offers:
        merged = merge(merged, offered)
    assert merged.state is RoundState.CERTIFIED
    assert (merged.certificate, merged.report_digest) == (known.certificate, known.report_digest)
    assert known.header is None or merged.header == known.header


@given(offers=st.lists(RECORDS | CERTIFIED, min_size=2, max_size=5))
def test_merge__nothing_known_is_lost(offers: list[RoundRecord]) -> None:
    merged = offers[0]
    for offered in offers[1:]:
        merged = merge(merged, offered)
    assert merged.updated_ms == max(offer.updated_ms for offer in offers)
    assert set(merged.timings_ms) == {name for offer in offers for name in offer.timings_ms}
    certified = [offer for offer in offers if offer.state is RoundState.CERTIFIED]
    assert (merged.state is RoundState.CERTIFIED) == bool(certified)
    if not certified and any(offer.report_digest for offer in offers):
        assert merged.report_digest == [offer.report_digest for offer in offers if offer.report_digest][-1]


def test_merge__header_of_another_report_goes() -> None:
    reported = replace(record(1), report_digest=key(2), header=b"header 2")
    certified = replace(record(1, state=RoundState.CERTIFIED), report_digest=key(3))
    assert merge(reported, certified).header is None
    assert merge(reported, replace(certified, report_digest=key(2))).header == b"header 2"


def test_merge__other_epoch_refused() -> None:
    with pytest.raises(StoreError, match="under epoch 0 and offered under 1"):
        merge(record(1), replace(record(1), epoch=1))


def test_rounds__merged_row_stored_and_returned(store: Store) -> None:
    store.record_round(replace(record(1), dealer=key(1), timings_ms={"wave1": 3}))
    merged = store.record_round(
        replace(record(1, state=RoundState.CERTIFIED, at_ms=4), timings_ms={"wave2": 5})
    )
    assert merged.dealer == key(1)
    assert merged.timings_ms == {"wave1": 3, "wave2": 5}
    assert store.round(1, 0) == merged
    assert store.round(1, 1) is None


@pytest.mark.parametrize(
    "contradiction",
    [replace(record(1), certificate=b"c"), replace(record(1, state=RoundState.CERTIFIED), certificate=None)],
    ids=["certificate-without-state", "state-without-certificate"],
)
def test_rounds__certificate_and_state_only_together(store: Store, contradiction: RoundRecord) -> None:
    with pytest.raises(StoreError, match="together"):
        store.record_round(contradiction)


def test_rounds__pages_never_split_a_round(store: Store) -> None:
    for round_ in range(5):
        for shard in range(2):
            store.record_round(record(round_, shard))

    def names(found: list[RoundRecord]) -> list[tuple[int, int]]:
        return [(each.round, each.shard) for each in found]

    assert names(store.rounds(2)) == [(4, 0), (4, 1), (3, 0), (3, 1)]
    assert names(store.rounds(2, before=3)) == [(2, 0), (2, 1), (1, 0), (1, 1)]
    assert store.rounds(2, before=0) == []


def test_rounds__certified_ones_found_for_catch_up(store: Store) -> None:
    assert store.last_certified() is None
    for round_ in range(6):
        state = RoundState.VOID if round_ in (2, 5) else RoundState.CERTIFIED
        store.record_round(record(round_, state=state))
    last = store.last_certified()
    assert last is not None
    assert last.round == 4
    assert [each.round for each in store.certified_since(1, limit=2)] == [1, 3]
    assert [each.round for each in store.certified_since(4, limit=2)] == [4]


def test_scores__terms_survive_with_nan_and_infinity(store: Store) -> None:
    store.record_round(record(1))
    terms = {"G": 0.5, "LOF": math.inf, "R": math.nan}
    store.record_scores([ScoreRecord(1, 0, key(1), 0.25, 0.5, terms)])
    (found,) = store.scores()
    assert (found.score, found.weight, found.terms["G"], found.terms["LOF"]) == (0.25, 0.5, 0.5, math.inf)
    assert math.isnan(found.terms["R"])


def test_scores__newest_rounds_and_their_average(store: Store) -> None:
    for round_ in (1, 2, 5):
        store.record_round(record(round_))
        store.record_scores(
            [
                ScoreRecord(round_, 0, key(1), score=round_ / 10, weight=0.5),
                ScoreRecord(round_, 0, key(2), score=0.3, weight=0.25),
            ]
        )
    assert [(each.round, each.encoder) for each in store.scores(last_rounds=2, encoder=key(1))] == [
        (5, key(1)),
        (2, key(1)),
    ]
    best, second = store.average_scores(last_rounds=2)
    assert best == ScoreAverage(key(1), best.score, 0.5, 2)
    assert second == ScoreAverage(key(2), second.score, 0.25, 2)
    assert (best.score, second.score) == pytest.approx((0.35, 0.3))
    assert [each.shards for each in store.average_scores(encoder=key(2))] == [3]


def test_scores_of__one_shard_of_one_round_heaviest_first(store: Store) -> None:
    terms = {"G": 0.5}
    for at in ((1, 0), (1, 1), (2, 0)):
        store.record_round(record(*at))
        weights = {key(1): 0.25, key(2): 0.5, key(3): 0.25}
        store.record_scores(
            ScoreRecord(*at, each, at[0] / 10, weight, terms) for each, weight in weights.items()
        )
    assert store.scores_of(1, 1) == [
        ScoreRecord(1, 1, key(2), 0.1, 0.5, terms),
        ScoreRecord(1, 1, key(1), 0.1, 0.25, terms),
        ScoreRecord(1, 1, key(3), 0.1, 0.25, terms),
    ]
    assert [each.round for each in store.scores_of(2, 0)] == [2, 2, 2]
    assert store.scores_of(2, 1) == []


def test_scores__of_an_unrecorded_round_refused_whole(store: Store) -> None:
    store.record_round(record(1))
    with pytest.raises(StoreError, match="record the round before"):
        store.record_scores([ScoreRecord(1, 0, key(1), 0, 0), ScoreRecord(2, 0, key(1), 0, 0)])
    assert store.scores() == []
