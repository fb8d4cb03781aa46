"""What is dropped of old epochs, and that an empty disk still gets all it needs from any peer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import ConfigError
from config.genesis import save_genesis
from config.settings import load_settings
from node.catch_up import Ask as AskRounds
from node.catch_up import CatchUp
from node.cli.errors import ExitCode
from node.epochs.follow import ENCODERS_METHOD, IDLE_S, RECORDS_METHOD, Ask, EpochFollower
from node.epochs.history import chain_to, keep_epoch, lacks_encoders, open_epochs
from node.epochs.learnt_blobs import LearntBlobs
from node.network.counters import Counters
from node.network.errors import RequestDenied, RequestRefused
from node.roles.recorder import Recorder
from node.roles.validator import Validator
from node.store import EpochRow, RoundRecord, RoundState, Store
from protocol.codec import decode, encode
from protocol.epochs.horizon import EVIDENCE_EPOCHS
from protocol.epochs.known import Epochs
from protocol.epochs.view import Epoch
from protocol.rounds.effects import EpochDecided
from protocol.schedule import slot_start_ms
from tests.support.certified_history import certified_history, open_store, record
from tests.support.cli import deltamesh, directory_of
from tests.support.epochs import epochs_of
from tests.support.fakes import FakeExchange, FakeHost, VirtualClock, virtual_clock
from tests.support.records import GENESIS, ROUNDS, VALIDATORS, Story, certificate, newcomer, registration

pytestmark = pytest.mark.anyio
EPOCHS = 30
RETENTION = EVIDENCE_EPOCHS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, slot_start_ms(certified_history(14).genesis, 60))


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "own") as opened:
        yield opened


@cache
def chain() -> tuple[Epoch, ...]:
    """Epochs 1 to 30; each record has another table."""
    story = Story()
    for number in range(EPOCHS):
        story.go_on(story.known([registration(newcomer(number), number)], skip=range(ROUNDS)))
    return tuple(story.taken)


def fill(store: Store) -> None:
    for epoch in chain():
        keep_epoch(store, epoch, certificate(epoch))


# -- the store ---------------------------------------------------------------------------------------------


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.lists(st.integers(-5, EPOCHS + 1), min_size=1, max_size=4))
def test_pruning__drops_tables_and_outcomes_below_and_no_record(
    tmp_path_factory: pytest.TempPathFactory, before: list[int]
) -> None:
    with open_store(tmp_path_factory.mktemp("store")) as store:
        fill(store)
        for number in range(0, EPOCHS + 1, 3):
            at = number * ROUNDS + 1
            certified = (RoundState.CERTIFIED, 1, VALIDATORS[0], bytes(32), b"header", b"certificate")
            store.record_round(RoundRecord(number, at, 0, *certified, outcome=b"outcome"))
        dropped = sum(store.prune_epochs(one, ROUNDS) for one in before)
        horizon = max(1, *before)
        assert dropped == min(horizon - 1, EPOCHS)
        for epoch in chain():
            held = store.encoders_of(epoch.number)
            assert held == (encode(epoch.table) if epoch.number >= horizon else None)
        assert [row.record for row in store.epoch_rows(1, 99)] == [encode(epoch.record) for epoch in chain()]
        for number in range(0, EPOCHS + 1, 3):
            found = store.round(number * ROUNDS + 1, 0)
            assert found is not None
            assert (found.outcome is None) == (number < horizon and horizon > 1)
            assert found.certificate == b"certificate"
        assert store.newest_epoch() == (EPOCHS if horizon <= EPOCHS else 0)
        assert store.encoders_kept_from() == (horizon if horizon <= EPOCHS else None)


def test_table_that_is_lacking__is_filled_in_and_none_is_replaced(store: Store) -> None:
    first, second = (EpochRow(number, b"record", b"certificate") for number in (1, 2))
    store.put_epoch(first)
    store.put_epoch(second, b"encoders")
    assert (store.encoders_of(1), store.newest_epoch()) == (None, 2)
    store.put_epoch(EpochRow(1, b"another", b"another"), b"late")
    store.put_epoch(EpochRow(2, b"another", b"another"), b"another")
    assert (store.encoders_of(1), store.encoders_of(2)) == (b"late", b"encoders")
    assert [row.record for row in store.epoch_rows(1, 9)] == [b"record", b"record"]


def test_setting__keeps_at_least_what_evidence_is_checked_by(tmp_path: Path) -> None:
    assert load_settings({"home": tmp_path}).retention_epochs == 64
    with pytest.raises(ConfigError, match="retention_epochs"):
        load_settings({"home": tmp_path, "retention_epochs": EVIDENCE_EPOCHS - 1})


async def test_validator_that_tidies_up__keeps_as_many_epochs_as_it_is_told(
    store: Store, tmp_path: Path
) -> None:
    fill(store)
    epochs = open_epochs(GENESIS, store)
    told = load_settings({"home": tmp_path, "retention_epochs": 9})
    validator = SimpleNamespace(
        _store=store,
        _epochs=epochs,
        _genesis=GENESIS,
        _node=SimpleNamespace(settings=told),
        _learnt=LearntBlobs(epochs, store),
    )
    await Validator._tidy(cast(Validator, validator), EPOCHS * ROUNDS)
    assert store.encoders_kept_from() == EPOCHS - 9


# -- following ---------------------------------------------------------------------------------------------


class Follower:
    """A validator with a store of its own that follows others, and serves."""

    def __init__(self, key: bytes, store: Store, peers: dict[bytes, Follower]) -> None:
        self.store, self.peers = store, peers
        self.epochs = open_epochs(GENESIS, store)
        self.host = FakeHost(key, self.ask)
        self.asked: list[int] = []
        self.follower = EpochFollower(self.epochs, self.host.host, store, self.persist, tables=RETENTION + 3)
        for peer in peers:
            self.host.connect(peer)

    async def persist(self, fact: EpochDecided) -> None:
        keep_epoch(self.store, fact.epoch, fact.certificate)
        self.epochs.add(fact.epoch)

    async def ask(self, key: bytes, method: str, payload: bytes) -> bytes:
        if method == ENCODERS_METHOD:
            self.asked.append(decode(payload, Ask, size_bytes_max=64).epoch)
        try:
            return await self.peers[key].host.handlers[method](self.host.public_key, payload)
        except RequestRefused as refused:
            raise RequestDenied(key, method, refused.reason) from None

    async def run(self) -> None:
        with trio.move_on_after(2 * IDLE_S):
            await self.follower.run()


async def test_empty_disk__gets_the_chain_and_every_table_it_needs_from_a_peer_that_pruned(
    store: Store, tmp_path: Path
) -> None:
    fill(store)
    store.prune_epochs(EPOCHS - RETENTION, ROUNDS)
    old = Follower(VALIDATORS[0], store, {})
    with open_store(tmp_path / "new") as fresh, open_store(tmp_path / "newer") as fresher:
        new = Follower(VALIDATORS[1], fresh, {VALIDATORS[0]: old})
        await new.run()
        # And who follows one that was never there itself gets the same.
        newer = Follower(VALIDATORS[2], fresher, {VALIDATORS[1]: new})
        await newer.run()
        for one in (new, newer):
            assert one.epochs.newest.digest == chain()[-1].digest
            for number in range(EPOCHS - EVIDENCE_EPOCHS, EPOCHS + 1):
                assert encode(one.epochs.of(number).table) == encode(chain()[number - 1].table)
            assert one.host.penalties == []
            assert one.asked[0] == EPOCHS - RETENTION - 2  # as many as it keeps itself, and two were refused
            chained, encoders, _ = chain_to(one.store, EPOCHS)
            assert [told.record for told in chained] == [encode(epoch.record) for epoch in chain()]
            assert encoders == encode(chain()[-1].table)
        again = open_epochs(GENESIS, fresh)
        assert (again.newest.digest, again.find(5)) == (chain()[-1].digest, None)


async def test_table_past_the_horizon__is_refused_and_the_answer_says_which_are_kept(store: Store) -> None:
    fill(store)
    store.prune_epochs(20, ROUNDS)
    serving = Follower(VALIDATORS[0], store, {}).host.handlers
    with pytest.raises(RequestRefused, match="encoders of epoch 19 are not here, but from epoch 20 on"):
        await serving[ENCODERS_METHOD](VALIDATORS[1], encode(Ask(19)))
    assert await serving[ENCODERS_METHOD](VALIDATORS[1], encode(Ask(20))) == encode(chain()[19].table)
    assert await serving[RECORDS_METHOD](VALIDATORS[1], encode(Ask(1)))


async def test_peer_that_lacks_what_everyone_keeps__is_left_for_the_next(
    store: Store, tmp_path: Path
) -> None:
    with open_store(tmp_path / "poor") as poor, open_store(tmp_path / "new") as fresh:
        fill(store)
        fill(poor)
        poor.prune_epochs(EPOCHS - 2, ROUNDS)
        peers = {
            VALIDATORS[0]: Follower(VALIDATORS[0], poor, {}),
            VALIDATORS[2]: Follower(VALIDATORS[2], store, {}),
        }
        new = Follower(VALIDATORS[1], fresh, dict(list(peers.items())[:1]))
        await new.run()
        assert new.epochs.newest.number < EPOCHS - EVIDENCE_EPOCHS
        new.peers.update(peers)
        new.host.connect(VALIDATORS[2])
        await new.run()
        assert new.epochs.newest.digest == chain()[-1].digest
        assert all(new.epochs.find(number) for number in range(EPOCHS - EVIDENCE_EPOCHS, EPOCHS + 1))
        assert new.host.penalties == []


async def test_restart_between_records__goes_on_and_fills_the_gap(store: Store, tmp_path: Path) -> None:
    fill(store)
    old = Follower(VALIDATORS[0], store, {})
    with open_store(tmp_path / "new") as fresh:
        for row in store.epoch_rows(1, 25):  # passed over, and then the process ended
            fresh.put_epoch(row)
        new = Follower(VALIDATORS[1], fresh, {VALIDATORS[0]: old})
        assert new.epochs.newest.number == 0
        await new.run()
        assert new.epochs.newest.digest == chain()[-1].digest
        assert fresh.encoders_of(EPOCHS - EVIDENCE_EPOCHS) is not None


# -- rounds ------------------------------------------------------------------------------------------------


async def test_rounds_past_the_horizon__are_neither_asked_for_nor_in_the_way(
    store: Store, tmp_path: Path
) -> None:
    history = certified_history(14)
    carried = epochs_of(history.genesis)
    for retention, first_asked, taken in ((1, 6, {12, 13}), (5, 0, {*range(6), 12, 13})):
        with open_store(tmp_path / f"{retention}") as fresh:
            # The encoders of epoch 1 are kept nowhere any more, those of epochs 0 and 2 are.
            epochs = Epochs(history.genesis)
            epochs.pass_over(carried.of(1))
            epochs.add(carried.of(2))
            asked: list[int] = []
            serving = FakeHost(history.validators[1].key)
            with open_store(tmp_path / f"peer of {retention}") as theirs:
                record(theirs, history, *history.facts)
                exchange = FakeExchange(held_by={serving.public_key: history.bodies()})
                keeper = Recorder(carried, theirs, Counters(), Path("epoch.lock"))
                CatchUp(carried, serving.host, exchange, theirs, keeper.keep, keeper.persist, 64)

                async def ask(key: bytes, method: str, payload: bytes) -> bytes:
                    asked.append(decode(payload, AskRounds, size_bytes_max=64).from_round)  # noqa: B023
                    return await serving.handlers[method](key, payload)  # noqa: B023

                host = FakeHost(history.validators[0].key, ask)
                host.connect(serving.public_key)
                recorder = Recorder(epochs, fresh, Counters(), Path("epoch.lock"))
                catch_up = CatchUp(
                    epochs, host.host, exchange, fresh, recorder.keep, recorder.persist, retention
                )
                with trio.move_on_after(12.0):
                    await catch_up.run()
            found = {one.round for one in fresh.certified_since(0, 99)}
            assert (asked[0], found, host.penalties) == (first_asked, taken, [])


# -- commands ----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    directory = directory_of(tmp_path / "v")
    directory.root.mkdir(parents=True, exist_ok=True)
    save_genesis(directory.genesis, GENESIS)
    with Store.open(directory.store, directory.blobs) as opened:
        fill(opened)
        opened.prune_epochs(20, ROUNDS)
    return tmp_path / "v"


@pytest.mark.parametrize("command", ["show", "weights"])
def test_epoch_whose_encoders_were_dropped__says_which_are_kept(home: Path, command: str) -> None:
    ended = deltamesh("epochs", command, 19, "--home", home)
    assert ended.code == ExitCode.STORAGE
    assert "encoders of epoch 19 are kept here no longer, only those from epoch 20 on" in ended.error
    assert deltamesh("epochs", command, 20, "--home", home).code == 0
    assert "is not known here" in deltamesh("epochs", command, EPOCHS + 1, "--home", home).error


def test_list_of_epochs__has_those_without_encoders_too(home: Path) -> None:
    listed = deltamesh("epochs", "--home", home, "--last", 99, "--json").json
    assert [one["epoch"] for one in listed] == list(range(EPOCHS + 1))
    assert [one["epoch"] for one in listed if one["encoders"] is None] == list(range(1, 20))
    assert [one["record"] for one in listed[1:]] == [epoch.digest.hex() for epoch in chain()]
    assert deltamesh("epochs", "--home", home, "--last", 99).code == 0
    assert not lacks_encoders(chain()[0])
