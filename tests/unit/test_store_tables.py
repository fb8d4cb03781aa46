"""What each table promises."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.store import (
    VECTOR_BYTES,
    DisputeRecord,
    EmbeddingRecord,
    EvidenceRecord,
    ItemState,
    Put,
    QueueFull,
    RoundRecord,
    RoundState,
    ScoreAverage,
    ScoreRecord,
    StatementRecord,
    Store,
    StoreError,
    StoreLimits,
)
from node.store.embeddings import PAGE_ROWS
from node.store.rounds import merge

LIMITS = StoreLimits(
    envelope_bytes_max=100,
    statements_per_round_max=3,
    evidence_per_offender_max=2,
    evidence_max=3,
    disputes_per_round_max=2,
    item_bytes_max=50,
    pending_items_max=3,
    pending_bytes_max=100,
    peers_max=3,
    addresses_per_peer_max=2,
    address_length_max=20,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store.sqlite", tmp_path / "blobs", limits=LIMITS) as opened:
        yield opened


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def record(round_: int, shard: int = 0, state: RoundState = RoundState.OPEN, at_ms: int = 0) -> RoundRecord:
    certificate = b"certificate" if state is RoundState.CERTIFIED else None
    return RoundRecord(0, round_, shard, state, at_ms, certificate=certificate)


def submit(store: Store, number: int, size_bytes: int = 10) -> Put:
    return store.submit_item(
        key(number), bytes(size_bytes), modality="text", source="test", submitted_ms=number
    )


# Statements


def test_statements__by_round_and_kind_in_order_of_arrival(store: Store) -> None:
    later = StatementRecord(key(1), 0, 5, 0, "lock", key(9), b"later", received_ms=8)
    sooner = StatementRecord(key(2), 0, 5, 1, "commit", key(9), b"sooner", received_ms=7)
    other = StatementRecord(key(3), 0, 6, 0, "commit", key(9), b"other round", received_ms=7)
    assert [store.put_statement(each) for each in (later, sooner, other)] == [Put.NEW] * 3
    assert store.statements(5) == [sooner, later]
    assert store.statements(5, "lock") == [later]
    assert store.statement(key(2)) == sooner
    assert store.statement(key(4)) is None


def test_statements__same_digest_known_and_unchanged(store: Store) -> None:
    first = StatementRecord(key(1), 0, 5, 0, "lock", key(9), b"first", received_ms=8)
    assert store.put_statement(first) is Put.NEW
    assert store.put_statement(replace(first, envelope=b"second")) is Put.KNOWN
    assert store.statement(key(1)) == first


def test_statements__bound_holds_for_each_round(store: Store) -> None:
    def offer(number: int, round_: int) -> Put:
        return store.put_statement(
            StatementRecord(key(number), 0, round_, 0, "commit", key(9), b"", received_ms=0)
        )

    assert [offer(number, 5) for number in range(4)] == [Put.NEW] * 3 + [Put.FULL]
    assert offer(0, 5) is Put.KNOWN
    assert offer(9, 6) is Put.NEW


def test_statements__oversize_envelope_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="101 bytes is over the bound of 100"):
        store.put_statement(StatementRecord(key(1), 0, 5, 0, "lock", key(9), bytes(101), received_ms=8))


# Rounds

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


# Scores


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


# Items


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
    assert submit(store, 1) is Put.KNOWN


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


# Embeddings


def vectors(round_: int, count: int, shard: int = 0) -> list[EmbeddingRecord]:
    return [
        EmbeddingRecord(key(position), round_, shard, position, 0, bytes([round_]) * VECTOR_BYTES)
        for position in range(count)
    ]


def test_embeddings__paged_in_order_within_the_rounds_asked_for(store: Store) -> None:
    batches = {round_: vectors(round_, PAGE_ROWS + 3) for round_ in (1, 2, 3)}
    for round_, batch in batches.items():
        store.record_round(record(round_))
        store.record_embeddings(reversed(batch))
    assert list(store.embeddings()) == batches[1] + batches[2] + batches[3]
    assert list(store.embeddings(2, 3)) == batches[2]
    assert store.embedding_count() == 3 * (PAGE_ROWS + 3)
    newest = store.embedding(key(0))
    assert newest is not None
    assert newest.round == 3
    assert store.embedding(key(999_999)) is None


def test_embeddings__recorded_again_replace(store: Store) -> None:
    store.record_round(record(1))
    store.record_embeddings(vectors(1, 3))
    store.record_embeddings(replace(each, space_epoch=2) for each in vectors(1, 3))
    assert [each.space_epoch for each in store.embeddings()] == [2, 2, 2]


def test_embeddings__wrong_size_refused_whole(store: Store) -> None:
    store.record_round(record(1))
    batch = vectors(1, 2)
    with pytest.raises(StoreError, match="contradicts"):
        store.record_embeddings([batch[0], replace(batch[1], vector=bytes(VECTOR_BYTES - 4))])
    assert store.embedding_count() == 0


# Evidence and disputes


def test_evidence__bounded_by_offender_and_in_all(store: Store) -> None:
    def offer(number: int, offender: int) -> Put:
        return store.put_evidence(
            EvidenceRecord(key(number), key(offender), "two-locks", b"e", received_ms=number)
        )

    assert [offer(1, 1), offer(1, 1), offer(2, 1), offer(3, 1)] == [Put.NEW, Put.KNOWN, Put.NEW, Put.FULL]
    assert [offer(4, 2), offer(5, 3)] == [Put.NEW, Put.FULL]
    assert [each.digest for each in store.evidence()] == [key(1), key(2), key(4)]
    assert [each.digest for each in store.evidence(key(2))] == [key(4)]


def test_disputes__bounded_by_round(store: Store) -> None:
    def offer(number: int, round_: int, shard: int) -> Put:
        return store.put_dispute(DisputeRecord(key(number), round_, shard, key(9), b"d", received_ms=number))

    assert [offer(1, 1, 0), offer(1, 1, 0), offer(2, 1, 1), offer(3, 1, 1)] == [
        Put.NEW,
        Put.KNOWN,
        Put.NEW,
        Put.FULL,
    ]
    assert offer(4, 2, 0) is Put.NEW
    assert [each.digest for each in store.disputes(1)] == [key(1), key(2)]
    assert [each.digest for each in store.disputes(1, shard=1)] == [key(2)]


# Peers


def test_peers__seen_again_keep_penalty_and_newest_time(store: Store) -> None:
    store.record_peer(key(1), ["/ip4/1"], last_seen_ms=9)
    store.record_penalty(key(1), penalty=2.5, banned_until_ms=100)
    store.record_peer(key(1), ["/ip4/2"], last_seen_ms=5)
    peer = store.peer(key(1))
    assert peer is not None
    assert (peer.addresses, peer.last_seen_ms, peer.penalty, peer.banned_until_ms) == (
        ("/ip4/2",),
        9,
        2.5,
        100,
    )
    assert [each.public_key for each in store.banned_peers(now_ms=99)] == [key(1)]
    assert store.banned_peers(now_ms=100) == []
    assert store.peer(key(2)) is None


def test_peers__fresh_identities_cannot_wash_out_a_ban(store: Store) -> None:
    store.record_penalty(key(0), penalty=9, banned_until_ms=10_000)
    for number in range(1, 20):
        store.record_peer(key(number), [], last_seen_ms=number)
    assert [each.public_key for each in store.peers(10)] == [key(19), key(18), key(0)]


@pytest.mark.parametrize("addresses", [["a", "b", "c"], ["x" * 21]], ids=["too-many", "too-long"])
def test_peers__addresses_bounded(store: Store, addresses: list[str]) -> None:
    with pytest.raises(StoreError, match="drop the rest"):
        store.record_peer(key(1), addresses, 1)
    assert store.peer(key(1)) is None
