"""Catching up: everything is verified, every peer is asked; a bad one costs time, never truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import trio

import node.catch_up
from node.catch_up import METHOD, ROUND_WITHIN_S, Answer, Ask, CatchUp, CertifiedRound
from node.network.counters import Counters
from node.network.errors import RequestError
from node.roles.recorder import Recorder
from node.store import RoundState, Store, StoreError
from protocol.codec import encode
from protocol.messages import AttestationRef
from protocol.rounds import effects as fx
from protocol.schedule import slot_start_ms
from tests.support.certified_history import History, certified_history, open_store, record
from tests.support.epochs import epochs_of
from tests.support.fakes import FakeExchange, FakeHost, VirtualClock, virtual_clock

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, slot_start_ms(certified_history().genesis, 40))


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


Lie = Callable[[Answer], Answer | bytes]


@dataclass
class Peer:
    """A validator that serves from its store, and lies as told."""

    store: Store
    host: FakeHost
    lie: Lie = lambda answer: answer
    delay_s: float = 0.0
    asked: list[int] = field(default_factory=list)


class World:
    """One node that catches up, and its peers."""

    def __init__(self, history: History, folder: Path, stack: ExitStack) -> None:
        self.history = history
        self._folder, self._stack = folder, stack
        self.peers: dict[bytes, Peer] = {}
        self.me = history.validators[0].key
        self.host = FakeHost(self.me, answer=self._answer)
        self.exchange = FakeExchange()
        self.store = stack.enter_context(open_store(folder / "me"))
        self.recorder = Recorder(epochs_of(history.genesis), self.store, Counters(), Path("epoch.lock"))
        self.catch_up = self.node(self.host, self.store, self.exchange)

    def node(self, host: FakeHost, store: Store, exchange: FakeExchange) -> CatchUp:
        recorder = Recorder(epochs_of(self.history.genesis), store, Counters(), Path("epoch.lock"))
        return CatchUp(
            epochs_of(self.history.genesis), host.host, exchange, store, recorder.keep, recorder.persist, 64
        )

    def peer(self, index: int, *facts: fx.RoundCertified, bodies: bool = True) -> Peer:
        """Connect a validator that holds these rounds."""
        key = self.history.validators[index].key
        store = self._stack.enter_context(open_store(self._folder / str(index)))
        record(store, self.history, *facts)
        peer = self.peers[key] = Peer(store, FakeHost(key))
        self.node(peer.host, store, FakeExchange())
        if bodies:
            self.exchange.held_by[key] = self.history.bodies()
        self.host.connect(key)
        return peer

    async def _answer(self, key: bytes, method: str, payload: bytes) -> bytes:
        assert method == METHOD
        peer = self.peers[key]
        peer.asked.append(msgspec.msgpack.decode(payload)[0])
        await trio.sleep(peer.delay_s)
        honest = msgspec.msgpack.decode(await peer.host.handlers[METHOD](self.me, payload), type=Answer)
        answer = peer.lie(honest)
        return answer if isinstance(answer, bytes) else encode(answer)

    async def run(self, seconds: float = 30.0) -> None:
        """Catch up for so long."""
        with trio.move_on_after(seconds):
            await self.catch_up.run()

    def held(self) -> list[tuple[int, int]]:
        """Certified rounds and shards in this node's store."""
        records = self.store.certified_since(0, 1000)
        return [(record.round, record.shard) for record in records]

    def penalised(self) -> set[bytes]:
        return {key for key, _, _ in self.host.penalties}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(tmp_path: Path, stack: ExitStack) -> World:
    return World(certified_history(), tmp_path, stack)


def all_rounds(history: History) -> list[tuple[int, int]]:
    return [(fact.at.round, fact.at.shard) for fact in history.facts]


async def test_empty_store__gets_every_round_with_scores_embeddings_and_body(world: World) -> None:
    world.peer(1, *world.history.facts)
    await world.run()
    assert world.held() == all_rounds(world.history)
    first = world.history.facts[0]
    assert len([score for score in world.store.scores() if score.round == 0]) == 4
    assert len([e for e in world.store.embeddings() if e.round == 0]) == len(first.items)
    assert world.store.blobs.get(first.header.body.body) == encode(first.body)
    record_ = world.store.round(0, 0)
    assert record_ is not None
    assert record_.report_digest == first.header.digest
    assert world.penalised() == set()


async def test_rounds_in_pages__are_all_pulled_without_a_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.catch_up, "ROUNDS_ASKED", 2)
    world.peer(1, *world.history.facts)
    await world.run(seconds=1.0)
    assert world.held() == all_rounds(world.history)


@pytest.mark.parametrize("told_max", [2, 3, 128])
async def test_several_shards__are_all_pulled_though_a_page_ends_within_a_round(
    tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, told_max: int
) -> None:
    monkeypatch.setattr(node.catch_up, "TOLD_MAX", told_max)
    world = World(certified_history(4, 2), tmp_path, stack)
    world.peer(1, *world.history.facts)
    await world.run(seconds=60)
    assert world.held() == all_rounds(world.history)
    assert len(world.held()) == 8
    assert world.penalised() == set()


async def test_round_one_peer_lacks__comes_from_another(world: World) -> None:
    facts = world.history.facts
    world.peer(1, *facts[:2], *facts[4:])
    world.peer(2, facts[3])
    world.peer(3, facts[2])
    await world.run()
    assert world.held() == all_rounds(world.history)


async def test_round_a_peer_gets_late__is_still_pulled(world: World, clock: VirtualClock) -> None:
    facts = world.history.facts
    clock.start_ms = slot_start_ms(world.history.genesis, len(facts))
    peer = world.peer(1, *facts[:2], *facts[3:])
    await world.run(seconds=20)
    assert (2, 0) not in world.held()
    record(peer.store, world.history, facts[2])
    await world.run(seconds=20)
    assert world.held() == all_rounds(world.history)


async def test_body_nobody_has__holds_up_no_other_peer_and_costs_nothing(world: World) -> None:
    world.peer(1, *world.history.facts, bodies=False)
    world.peer(2, *world.history.facts[3:])
    await world.run()
    assert world.held() == all_rounds(world.history)[3:]
    assert world.penalised() == set()


async def test_slow_peers__cost_their_time_and_no_more(world: World) -> None:
    world.peer(1, *world.history.facts).delay_s = 1_000
    world.peer(2, *world.history.facts)
    slow_body = world.history.validators[1].key

    class Slow(FakeExchange):
        async def fetch(self, digest: bytes, size_bytes: int, sources: object) -> bytes:
            if sources == (slow_body,):
                await trio.sleep(1_000)
            return await super().fetch(digest, size_bytes, sources)  # type: ignore[arg-type]

    world.exchange.__class__ = Slow
    world.peers[slow_body].delay_s = 0
    await world.run(seconds=ROUND_WITHIN_S + 5)
    assert world.held() == all_rounds(world.history)


def first_told(change: Callable[[CertifiedRound], CertifiedRound]) -> Lie:
    return lambda answer: Answer((*map(change, answer.rounds[:1]), *answer.rounds[1:]))


def with_forged_vote(told: CertifiedRound) -> CertifiedRound:
    votes = told.certificate.attestations
    forged = (AttestationRef(votes[0].validator, bytes(64)), *votes[1:])
    return CertifiedRound(told.header, msgspec.structs.replace(told.certificate, attestations=forged))


def with_one_vote(told: CertifiedRound) -> CertifiedRound:
    votes = told.certificate.attestations[:1]
    return CertifiedRound(told.header, msgspec.structs.replace(told.certificate, attestations=votes))


LIES: dict[str, Lie] = {
    "not canonical": lambda answer: b"\xc1",
    "a forged vote": first_told(with_forged_vote),
    "no quorum": first_told(with_one_vote),
    "a header of nobody": first_told(lambda told: CertifiedRound(b"header", told.certificate)),
    "another round's certificate": lambda answer: Answer(
        tuple(
            CertifiedRound(one.header, other.certificate)
            for one, other in zip(answer.rounds, answer.rounds[1:], strict=False)
        )
    ),
    "a changed header": first_told(
        lambda told: CertifiedRound(told.header[:-1] + bytes([told.header[-1] ^ 1]), told.certificate)
    ),
    "backwards": lambda answer: Answer(tuple(reversed(answer.rounds))),
}


@pytest.mark.parametrize("lie", LIES)
async def test_lying_peer__is_penalised_and_believed_in_nothing(world: World, lie: str) -> None:
    liar = world.peer(1, *world.history.facts)
    liar.lie = LIES[lie]
    await world.run(seconds=1)
    assert world.penalised() == {liar.host.public_key}
    held = world.held()
    assert held in ([], [(5, 0)])  # backwards, the first it tells is true
    for round_, shard in held:
        stored = world.store.round(round_, shard)
        assert stored is not None
        assert stored.report_digest == world.history.of_round(round_)[0].header.digest
    world.peer(2, *world.history.facts)
    await world.run()
    assert world.held() == all_rounds(world.history)


async def test_peer_that_repeats_itself__makes_no_endless_loop(world: World) -> None:
    page = [msgspec.msgpack.decode(b"\x91\x90", type=Answer)]
    peer = world.peer(1, *world.history.facts)

    def repeat(answer: Answer) -> Answer:
        page[0] = answer if answer.rounds and not page[0].rounds else page[0]
        return page[0]

    peer.lie = repeat
    await world.run(seconds=60)
    # At most a few questions every IDLE_S.
    assert len(peer.asked) <= 40


async def test_quorum_that_certifies_what_is_false__is_not_the_peers_fault_nor_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protocol.audit import AuditError

    def refuse(*_: object) -> object:
        raise AuditError("items", "not those of the seed")

    monkeypatch.setattr(node.catch_up, "audit_report", refuse)
    world.peer(1, *world.history.facts)
    await world.run()
    assert world.held() == []
    assert world.penalised() == set()


async def test_store_that_fails__pauses_and_goes_on_when_it_works_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.peer(1, *world.history.facts)
    with monkeypatch.context() as broken:

        def full(_: object) -> None:
            raise StoreError("the disk is full")

        broken.setattr(world.store, "record_scores", full)
        await world.run(seconds=20)
        # Not certified as long as something of it is missing.
        assert world.held() == []
        stored = world.store.round(0, 0)
        assert stored is not None
        assert stored.state is RoundState.REPORTED
    await world.run(seconds=20)
    assert world.held() == all_rounds(world.history)


async def test_nobody_answers__is_no_fault(world: World) -> None:
    async def silent(key: bytes, method: str, payload: bytes) -> bytes:
        raise RequestError(key, method, "gone")

    world.host.answer = silent
    world.host.connect(world.history.validators[1].key)
    await world.run(seconds=60)
    assert world.penalised() == set()


async def test_encoders__are_not_asked(world: World) -> None:
    world.host.connect(world.history.encoders[0].key)
    await world.run(seconds=20)
    assert world.host.requested == []


async def test_question_of_nonsense__gets_no_answer(world: World) -> None:
    peer = world.peer(1)
    with pytest.raises(ValueError, match=r".+"):
        await peer.host.handlers[METHOD](world.me, b"\xc1")
    assert await peer.host.handlers[METHOD](world.me, encode(Ask(2**40))) == encode(Answer(()))
