"""What the other tables promise: statements, embeddings, evidence, disputes, peers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.store import (
    VECTOR_BYTES,
    DisputeRecord,
    EmbeddingRecord,
    EvidenceRecord,
    Put,
    StatementRecord,
    Store,
    StoreError,
)
from node.store.embeddings import PAGE_ROWS
from tests.support.bounded_store import bounded_store, key, record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with bounded_store(tmp_path) as opened:
        yield opened


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
