"""Following the chain of epochs: a lying peer costs time, never truth, and no more than its turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest
import trio

from node.epochs.follow import (
    ENCODERS_METHOD,
    IDLE_S,
    RECORDS_METHOD,
    RECORDS_TOLD,
    Answer,
    Ask,
    EpochFollower,
)
from node.epochs.history import keep_epoch, open_epochs
from node.network.errors import RequestError, RequestRefused
from node.store import Store, StoreError
from protocol.codec import CodecError, decode, encode
from protocol.epochs.agreed import CertifiedRecord, checked_record, votes_of
from protocol.epochs.known import EPOCHS_KEPT, Epochs
from protocol.epochs.record import EncoderTable, record_digest
from protocol.epochs.view import Epoch
from protocol.hashing import content_digest
from protocol.messages import AttestationRef, Precommit
from protocol.rounds.effects import EpochDecided
from tests.support.certified_history import open_store
from tests.support.fakes import FakeHost, VirtualClock, virtual_clock
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    VALIDATORS,
    Story,
    certificate,
    newcomer,
    registration,
    say,
)

pytestmark = pytest.mark.anyio
EPOCHS = 6
HONEST, LIAR, *_ = VALIDATORS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, 2_000_000)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


@cache
def chain() -> tuple[tuple[CertifiedRecord, ...], tuple[Epoch, ...]]:
    told = Story()
    for number in range(EPOCHS):
        told.go_on(told.known([registration(newcomer(number), max(0, number))]))
    epochs = tuple(told.epochs.of(number) for number in range(EPOCHS + 1))
    told_records = (CertifiedRecord(encode(epoch.record), certificate(epoch)) for epoch in epochs[1:])
    return tuple(told_records), epochs


Lie = Callable[[Answer, int], Answer | bytes]


def changed(answer: Answer, index: int, **changes: object) -> Answer:
    records = list(answer.records)
    if index < len(records):
        records[index] = msgspec.structs.replace(records[index], **changes)
    return Answer(tuple(records))


def other_record(answer: Answer, first: int, **changes: object) -> Answer:
    """The first record changed, under a certificate that one validator signed for it."""
    epoch = chain()[1][first]
    record = msgspec.structs.replace(epoch.record, **changes)
    digest = record_digest(GENESIS.network_id, record)
    told = msgspec.structs.replace(certificate(epoch, LIAR), record=digest)
    body = Precommit(told.at, first, digest)
    votes = votes_of([say(LIAR, body)])  # type: ignore[list-item]
    told = msgspec.structs.replace(told, precommits=votes)
    return changed(answer, 0, record=encode(record), certificate=told)


def forged(answer: Answer, first: int) -> Answer:
    votes = tuple(AttestationRef(key, bytes(64)) for key in VALIDATORS)
    told = msgspec.structs.replace(answer.records[0].certificate, precommits=votes)
    return changed(answer, 0, certificate=told)


FALSE: dict[str, Lie] = {
    "nonsense": lambda _, __: b"nonsense",
    "nothing": lambda _, __: b"",
    "a gap": lambda answer, _: Answer(answer.records[1:]),
    "backwards": lambda answer, _: Answer(answer.records[::-1]),
    "the first again": lambda answer, _: Answer((answer.records[0], *answer.records)),
    "the first for ever": lambda answer, _: Answer((answer.records[0],) * RECORDS_TOLD),
    "wrong previous": lambda answer, first: other_record(answer, first, previous=bytes(32)),
    "another seed": lambda answer, first: other_record(answer, first, seed=bytes(32)),
    "a forged certificate": forged,
    "too few precommits": lambda answer, first: changed(
        answer, 0, certificate=certificate(chain()[1][first], *VALIDATORS[:2])
    ),
    "certificate of another": lambda answer, first: changed(
        answer, 0, certificate=certificate(chain()[1][min(first + 1, EPOCHS)])
    ),
    "a damaged record": lambda answer, _: changed(answer, 0, record=answer.records[0].record[:-1]),
    "too many records": lambda answer, _: encode(
        [[[one.record, one.certificate] for one in answer.records] * 65]
    ),
}


class World:
    """One node that follows, and validators that serve the chain, lying as told."""

    def __init__(self, store: Store | None, lies: dict[bytes, Lie] | None = None) -> None:
        self.store, self.lies = store, lies or {}
        self.epochs = open_epochs(GENESIS, store)
        self.host = FakeHost(ENCODERS[0], self.answer)
        self.tables: Callable[[bytes, bytes], bytes] = lambda _, data: data
        self.silent: set[bytes] = set()
        self.fails = False
        wanted = {} if store is None else {"tables": 65}
        self.follower = EpochFollower(self.epochs, self.host.host, store, self.persist, **wanted)

    async def persist(self, fact: EpochDecided) -> None:
        if self.fails:
            raise StoreError("the disk is full")
        if self.store is not None:
            keep_epoch(self.store, fact.epoch, fact.certificate)
        self.epochs.add(fact.epoch)

    async def answer(self, key: bytes, method: str, payload: bytes) -> bytes:
        if key in self.silent:
            await trio.sleep_forever()
        records, epochs = chain()
        first = decode(payload, Ask, size_bytes_max=64).epoch
        if method == ENCODERS_METHOD:
            return self.tables(key, encode(epochs[first].table))
        honest = Answer(records[first - 1 : first - 1 + RECORDS_TOLD])
        if key not in self.lies or not honest.records:
            return encode(honest)
        told = self.lies[key](honest, first)
        return told if isinstance(told, bytes) else encode(told)

    async def run(self, seconds: float = 3 * IDLE_S) -> None:
        with trio.move_on_after(seconds):
            await self.follower.run()


@pytest.mark.parametrize("with_store", [True, False])
async def test_following__takes_up_the_whole_chain(tmp_path: Path, with_store: bool) -> None:
    store = open_store(tmp_path) if with_store else None
    world = World(store)
    world.host.connect(HONEST)
    await world.run()
    assert world.epochs.newest.digest == chain()[1][-1].digest
    assert encode(world.epochs.newest.table) == encode(chain()[1][-1].table)
    assert world.host.penalties == []
    if store is not None:
        assert open_epochs(GENESIS, store).newest.digest == chain()[1][-1].digest
        store.close()
    else:
        tables = [payload for _, method, payload in world.host.requested if method == ENCODERS_METHOD]
        assert tables == [encode(Ask(EPOCHS - 1)), encode(Ask(EPOCHS))]


@pytest.mark.parametrize("lie", FALSE.values(), ids=FALSE.keys())
async def test_lying_peer__is_penalised_and_the_next_one_believed(lie: Lie) -> None:
    world = World(None, {LIAR: lie})
    world.host.connect(LIAR)
    await world.run(IDLE_S / 2)
    assert world.host.penalties
    assert {key for key, _, _ in world.host.penalties} == {LIAR}
    assert len(world.host.requested) < 10
    known = [epoch.digest for epoch in chain()[1]]
    assert world.epochs.newest.digest in known
    world.host.connect(HONEST)
    await world.run()
    assert world.epochs.newest.digest == known[-1]


async def test_encoders_that_do_not_match__are_refused_and_the_epoch_not_taken(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        world = World(store)
        for false in (b"", encode(EncoderTable(())), encode(chain()[1][3].table)):
            world.tables = lambda key, data, false=false: false if key == LIAR else data  # type: ignore[misc]
            world.host.connect(LIAR)
            await world.run(IDLE_S / 2)
            assert world.epochs.newest.number == 0
            assert "serves epochs that do not check out" in world.host.penalties[-1][2]
        world.host.connect(HONEST)
        await world.run()
        assert world.epochs.newest.number == EPOCHS


async def test_silent_peer__costs_its_time_out_and_no_more() -> None:
    world = World(None)
    world.silent = {LIAR}
    world.host.connect(LIAR, HONEST)
    await world.run(40.0)
    assert world.epochs.newest.number == EPOCHS
    assert world.host.penalties == []


async def test_peer_that_is_no_validator__is_not_asked() -> None:
    world = World(None)
    world.host.connect(ENCODERS[1])
    await world.run()
    assert world.host.requested == []


async def test_full_disk__stops_nothing_but_the_following(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        world = World(store)
        world.fails = True
        world.host.connect(HONEST)
        await world.run()
        assert world.epochs.newest.number == 0
        assert world.host.penalties == []
        world.fails = False
        await world.run()
        assert world.epochs.newest.number == EPOCHS


async def test_certificate_heard_of__is_looked_after_at_once() -> None:
    world = World(None)

    async def hear() -> None:
        await trio.sleep(1.0)
        world.host.connect(HONEST)
        world.follower.look()
        await trio.sleep(0.1)
        assert world.epochs.newest.number == EPOCHS

    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.follower.run)
        await hear()
        nursery.cancel_scope.cancel()


async def test_record_agreed_on_here_meanwhile__is_not_taken_up_twice() -> None:
    world = World(None)
    plain = world.answer

    async def slowly(key: bytes, method: str, payload: bytes) -> bytes:
        told = await plain(key, method, payload)
        if method == RECORDS_METHOD and world.epochs.newest.number == 0:
            world.epochs.add(chain()[1][1])
            world.epochs.add(chain()[1][2])
        return told

    world.host.answer = slowly
    world.host.connect(HONEST)
    await world.run()
    assert world.epochs.newest.number == EPOCHS
    assert world.host.penalties == []


# -- serving -----------------------------------------------------------------------------------------------


async def serving(store: Store) -> tuple[FakeHost, Callable[[str, int], Awaitable[bytes]]]:
    world = World(store)
    world.host.connect(HONEST)
    await world.run()

    async def ask(method: str, epoch: int) -> bytes:
        return await world.host.handlers[method](LIAR, encode(Ask(epoch)))

    return world.host, ask


async def test_serving__tells_what_checks_out_again(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        _, ask = await serving(store)
        for first in (0, 1, 3, EPOCHS, EPOCHS + 1, 2**53 - 1):
            told = decode(await ask(RECORDS_METHOD, first), Answer, size_bytes_max=1 << 20).records
            assert told == chain()[0][max(0, first - 1) :]
        members = Epoch.first(GENESIS)
        for one, epoch in zip(chain()[0], chain()[1][1:], strict=True):
            assert checked_record(members, one) == epoch.record
            assert content_digest(await ask(ENCODERS_METHOD, epoch.number)) == epoch.record.encoders
            members = epoch


async def test_serving__refuses_what_it_does_not_have_and_nonsense(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        host, ask = await serving(store)
        for number in (0, EPOCHS + 1, 2**53 - 1):
            with pytest.raises(RequestRefused):
                await ask(ENCODERS_METHOD, number)
        for method in (RECORDS_METHOD, ENCODERS_METHOD):
            for nonsense in (b"", b"\x00", encode(Ask(1)) + b"\x00", bytes(65)):
                with pytest.raises(CodecError):
                    await host.handlers[method](LIAR, nonsense)


async def test_answer_larger_than_it_may_be__is_cut_and_asked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path) as store:
        _, ask = await serving(store)
        whole = await ask(RECORDS_METHOD, 1)
        monkeypatch.setattr("node.epochs.follow.ANSWER_BYTES_MAX", len(whole) // 2)
        told = await ask(RECORDS_METHOD, 1)
        assert len(told) <= len(whole) // 2
        assert 0 < len(decode(told, Answer, size_bytes_max=1 << 20).records) < EPOCHS


def test_epochs_in_memory__are_bounded_and_follow_one_another() -> None:
    epochs = Epochs(GENESIS)
    told = Story(epochs)
    for _ in range(EPOCHS_KEPT + 2):
        told.go_on(told.known(skip=range(ROUNDS)))
    assert len(epochs._late) == EPOCHS_KEPT
    assert epochs.find(1) is None
    assert epochs.find(EPOCHS_KEPT + 3) is None
    assert epochs.find(-1) is None
    with pytest.raises(ValueError, match="does not follow"):
        epochs.add(epochs.of(5))


def test_request_error__names_the_peer() -> None:
    assert "epochs" in str(RequestError(HONEST, RECORDS_METHOD, "not connected"))
