"""The recorder: what it writes down, in which order, and what it survives."""

from __future__ import annotations

import math
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

import node.roles.recorder
from node.network.counters import Counters
from node.network.exchange import digest_of
from node.roles.recorder import Recorder
from node.store import RoundState, Store, StoreError
from node.store.items import ItemState
from protocol.codec import encode
from protocol.evidence import equivocation
from protocol.items import canonical_text, item_id
from protocol.messages import Attestation, Body, Dispute, Evidence
from protocol.report import VECTOR_BYTES
from protocol.rounds import effects as fx
from protocol.schedule import shard_round
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.certified_history import certified_history, open_store
from tests.support.epochs import epochs_of
from tests.support.memory_network import Identity

pytestmark = pytest.mark.anyio
HISTORY = certified_history()
FACT = HISTORY.facts[0]
AT = FACT.at
SERVED = (canonical_text("an item of a user"), canonical_text("another one"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as store:
        yield store


@pytest.fixture
def recorder(store: Store) -> Recorder:
    return Recorder(epochs_of(HISTORY.genesis), store, Counters(), Path("epoch.lock"))


@asynccontextmanager
async def at_work(recorder: Recorder) -> AsyncIterator[None]:
    """What is witnessed in the block is written down at its end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        yield
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


def submit(store: Store) -> None:
    for item in SERVED:
        store.submit_item(item_id(item), item, modality="text", source="me", submitted_ms=1)


def states(store: Store) -> list[ItemState]:
    records = [store.item(item_id(item)) for item in SERVED]
    return [record.state for record in records if record is not None]


def said(who: Identity, body: Body) -> Statement[Body]:
    name = statement_digest(HISTORY.genesis.network_id, who.key, body)
    return assemble(HISTORY.genesis.network_id, who.key, body, sign(who.seed, name))


async def test_released_items__leave_the_queue_and_are_never_scored(store: Store, recorder: Recorder) -> None:
    submit(store)
    await recorder.persist(fx.ReleasedItems(AT, FACT.items[:2], SERVED))
    assert states(store) == [ItemState.RELEASED] * 2
    names = [item_id(item) for item in (*FACT.items[:2], *SERVED)]
    assert store.released_among(names) == frozenset(names)
    stored = store.round(AT.round, AT.shard)
    assert stored is not None
    assert stored.state is RoundState.OPEN


async def test_void_round__puts_its_items_back(store: Store, recorder: Recorder) -> None:
    submit(store)
    await recorder.persist(fx.ReleasedItems(AT, (), SERVED))
    await recorder.persist(fx.RoundVoid(AT, "too few"))
    assert states(store) == [ItemState.PENDING] * 2
    assert [record.content for record in store.pending(10)] == sorted(SERVED, key=item_id)


async def test_report__is_kept_before_it_leaves(store: Store, recorder: Recorder) -> None:
    body = encode(FACT.body)
    await recorder.persist(fx.ReportMade(AT, FACT.header.body, body))
    assert store.blobs.get(digest_of(body)) == body
    stored = store.round(AT.round, AT.shard)
    assert stored is not None
    assert stored.state is RoundState.REPORTED


async def test_certified_round__has_scores_embeddings_and_items(store: Store, recorder: Recorder) -> None:
    submit(store)
    await recorder.persist(msgspec_fact(items=(*FACT.items[:-2], *SERVED)))
    stored = store.round(AT.round, AT.shard)
    assert stored is not None
    assert (stored.state, stored.report_digest) == (RoundState.CERTIFIED, FACT.header.digest)
    assert stored.header == FACT.header.data
    assert {score.encoder for score in store.scores()} == {person.key for person in HISTORY.encoders}
    assert math.isclose(sum(score.weight for score in store.scores()), 1.0)
    assert len(list(store.embeddings())) == len(FACT.items)
    assert states(store) == [ItemState.CERTIFIED] * 2
    # A void that comes late changes nothing.
    await recorder.persist(fx.RoundVoid(AT, "expired"))
    assert states(store) == [ItemState.CERTIFIED] * 2


def msgspec_fact(items: tuple[bytes, ...] = FACT.items, consensus: bytes | None = None) -> fx.RoundCertified:
    """The certified round with other items or vectors."""
    scores = FACT.body.scores
    changed = msgspec.structs.replace(scores, consensus=scores.consensus if consensus is None else consensus)
    body = msgspec.structs.replace(FACT.body, scores=changed)
    return fx.RoundCertified(AT, FACT.header, FACT.certificate, body, items)


async def test_certified_round_written_twice__is_the_same_as_once(store: Store, recorder: Recorder) -> None:
    await recorder.persist(FACT)
    once = (store.scores(), list(store.embeddings()))
    await recorder.persist(FACT)
    assert (store.scores(), list(store.embeddings())) == once


async def test_item_nobody_answered__has_no_embedding(store: Store, recorder: Recorder) -> None:
    vectors = FACT.body.scores.consensus
    nan = struct.pack("<f", math.nan) * (VECTOR_BYTES // 4)
    await recorder.persist(msgspec_fact(consensus=nan + vectors[VECTOR_BYTES:]))
    found = {embedding.item_id for embedding in store.embeddings()}
    assert found == {item_id(item) for item in FACT.items[1:]}


async def test_disputed_round__is_certified_without_embeddings(store: Store, recorder: Recorder) -> None:
    await recorder.persist(msgspec_fact(items=(), consensus=b""))
    assert list(store.embeddings()) == []
    assert len(store.scores()) == len(HISTORY.encoders)


@pytest.mark.parametrize("step", ["record_scores", "record_embeddings", "mark_certified"])
async def test_disk_that_fails_half_way__leaves_the_round_to_be_caught_up(
    store: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(store, step, full)
        with pytest.raises(StoreError):
            await recorder.persist(FACT)
    stored = store.round(AT.round, AT.shard)
    assert stored is not None
    assert stored.state is RoundState.REPORTED
    await recorder.persist(FACT)
    assert len(store.certified_since(0, 10)) == 1


async def test_steps_and_statements__are_written_in_their_order(store: Store, recorder: Recorder) -> None:
    async with at_work(recorder):
        for wave in (1, 2, 3):
            recorder.publish(fx.Publish(AT, fx.Step.LOCKED, wave, 10 * wave, detail="x\ny"))
        for person in HISTORY.validators:
            recorder.witness(said(person, Attestation(AT, b"r" * 32)))
    assert [(step.wave, step.elapsed_ms) for step in store.steps(AT.round, 0)] == [(1, 10), (2, 20), (3, 30)]
    assert {record.signer for record in store.statements(AT.round)} == {p.key for p in HISTORY.validators}


async def test_disputes_and_evidence__are_kept_with_who_is_meant(store: Store, recorder: Recorder) -> None:
    first, second = HISTORY.validators[:2]
    votes = [said(second, Attestation(AT, mark * 32)) for mark in (b"a", b"b")]
    evidence: Evidence = equivocation(*votes)
    async with at_work(recorder):
        recorder.witness(said(first, Dispute(AT, b"r" * 32, "weight", b"", 5, "differs")))
        recorder.witness(said(first, evidence))
    (dispute,) = store.disputes(AT.round)
    assert dispute.disputer == first.key
    (kept,) = store.evidence()
    assert kept.offender == second.key


async def test_bytes_received_in_a_round__are_counted_from_challenge_to_report(
    store: Store, recorder: Recorder
) -> None:
    encoder = HISTORY.encoders[0].key
    recorder._counters.add_received(encoder, 1_000)
    other = shard_round(HISTORY.genesis, AT.round + 1, 0)
    async with at_work(recorder):
        recorder.publish(fx.Publish(AT, fx.Step.DEALT, missing=(encoder,)))
        recorder._counters.add_received(encoder, 4_096)
        recorder.publish(fx.Publish(other, fx.Step.DEALT, missing=(encoder,)))
        recorder.publish(fx.Publish(AT, fx.Step.REPORTED))
        recorder._counters.add_received(encoder, 8)
        recorder.publish(fx.Publish(other, fx.Step.VOID))
    (received,) = [step for step in store.steps(AT.round, 0) if step.step == "received"]
    assert (received.answered, received.detail) == ((encoder,), "4096 bytes")
    assert recorder._received_before == {}


async def test_store_that_fails__costs_what_was_to_be_written_and_not_the_node(
    store: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []

    def sometimes(record: object) -> None:
        written.append(record)
        if len(written) == 1:
            raise StoreError("the disk is full")

    monkeypatch.setattr(store, "record_step", sometimes)
    async with at_work(recorder):
        for _ in range(3):
            recorder.publish(fx.Publish(AT, fx.Step.ATTESTED))
    assert len(written) == 3
    assert recorder._counters["store.unwritten"] == 1


async def test_waiting_records__are_bounded_and_the_rest_is_counted(
    store: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.roles.recorder, "WAITING_MAX", 2)
    for _ in range(5):
        recorder.publish(fx.Publish(AT, fx.Step.ATTESTED))
    assert recorder._counters["store.unwritten"] == 3
    async with at_work(recorder):
        await trio.testing.wait_all_tasks_blocked()
    assert len(store.steps(AT.round, 0)) == 2


async def test_node_that_stops__writes_down_what_was_waiting(store: Store, recorder: Recorder) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.run)
        await trio.testing.wait_all_tasks_blocked()
        recorder.publish(fx.Publish(AT, fx.Step.ATTESTED))
        nursery.cancel_scope.cancel()
    assert len(store.steps(AT.round, 0)) == 1
