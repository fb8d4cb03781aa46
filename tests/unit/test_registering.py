"""A newcomer registers: once an epoch, with work for that epoch, until it is a member."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

import node.roles.registering
from config.datadir import DataDir
from node.network.errors import RequestError
from node.roles.registering import VALIDATORS_TOLD, Registering, set_leaving
from protocol.epochs.checking import registration_refusal
from protocol.epochs.known import Epochs
from protocol.epochs.registration import NO_WORK, find_work, registration_fault, work_bits
from protocol.messages import Body, Exit, Kind, Registration
from protocol.schedule import slot_start_ms
from protocol.statement import Statement, expect, parse
from protocol.verdict import Verdict
from tests.support.fakes import FakeHost, VirtualClock, virtual_clock
from tests.support.records import (
    ENCODERS,
    GENESIS,
    ROUNDS,
    VALIDATORS,
    Story,
    conviction,
    leaving,
    newcomer,
    registration,
    say,
)

pytestmark = pytest.mark.anyio
ME = newcomer(0)
EPOCH_S = ROUNDS * GENESIS.parameters.slot_ms / 1_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, slot_start_ms(GENESIS, 0) + 1)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


class Newcomer:
    """One encoder's registering, and what the validators answer it."""

    def __init__(self, folder: Path, key: bytes = ME, epochs: Epochs | None = None) -> None:
        self.epochs = Epochs(GENESIS) if epochs is None else epochs
        self.heard: list[tuple[bytes, Statement[Registration]]] = []
        self.verdict = Verdict.ACCEPT
        self.deaf: set[bytes] = set()
        self.host = FakeHost(key, self.answer)
        settings = SimpleNamespace(model="a model" * 100)
        self.directory = DataDir(folder)
        me = SimpleNamespace(me=key, genesis=GENESIS, settings=settings, directory=self.directory)
        signer = SimpleNamespace(sign=self.sign)
        self.key = key
        self.registering = Registering(cast(Any, me), self.epochs, self.host.host, cast(Any, signer))

    async def sign(self, body: Body) -> Statement[Body]:
        await trio.lowlevel.checkpoint()
        return say(self.key, body)

    async def answer(self, key: bytes, method: str, payload: bytes) -> bytes:
        if key in self.deaf:
            raise RequestError(key, method, "gone")
        if parse(payload, GENESIS.network_id).kind is Kind.REGISTRATION:
            self.heard.append((key, expect(payload, GENESIS.network_id, Registration)))
        return self.verdict.value.encode()

    async def run(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.registering.run()


async def test_newcomer__registers_once_an_epoch_with_a_few_validators_until_it_is_a_member(
    tmp_path: Path,
) -> None:
    one = Newcomer(tmp_path)
    one.host.connect(*VALIDATORS)
    await one.run(2.5 * EPOCH_S)
    by_epoch = [statement.body.at.epoch for _, statement in one.heard]
    assert by_epoch == [epoch for epoch in range(3) for _ in range(VALIDATORS_TOLD)]
    for _, statement in one.heard:
        assert registration_fault(GENESIS, statement) is None
    assert registration_refusal(one.epochs.newest, one.heard[0][1]) is None
    one.epochs.add(_with(ME))
    assert one.registering.is_member
    await one.run(2 * EPOCH_S)
    assert len(one.heard) == len(by_epoch)


def _with(key: bytes) -> Any:
    story = Story()
    return story.go_on(story.known([registration(key, 0)]))


async def test_nobody_to_tell__is_waited_for(tmp_path: Path) -> None:
    one = Newcomer(tmp_path)
    one.host.connect(ENCODERS[0])
    await one.run(10.0)
    assert one.host.requested == []
    one.host.connect(VALIDATORS[0])
    await one.run(10.0)
    assert [key for key, _ in one.heard] == [VALIDATORS[0]]


@pytest.mark.parametrize("trouble", ["deaf", "rejected"])
async def test_registration_that_nobody_took__is_tried_again_with_the_same_work(
    tmp_path: Path, trouble: str
) -> None:
    one = Newcomer(tmp_path)
    one.host.connect(*VALIDATORS[:2])
    one.deaf = set(VALIDATORS) if trouble == "deaf" else set()
    one.verdict = Verdict.REJECT if trouble == "rejected" else Verdict.ACCEPT
    await one.run(5.0)
    asked = len(one.host.requested)
    assert asked > 2
    one.deaf, one.verdict = set(), Verdict.IGNORE
    await one.run(5.0)
    assert len(one.host.requested) == asked + 2
    assert len({payload for _, _, payload in one.host.requested}) == 1


async def test_convicted_encoder__does_not_ask_again(tmp_path: Path) -> None:
    story = Story()
    story.go_on(story.known(evidence=[conviction(ENCODERS[0], 0)]))
    one = Newcomer(tmp_path, ENCODERS[0], story.epochs)
    one.host.connect(VALIDATORS[0])
    await one.run(EPOCH_S)
    assert one.registering.is_convicted
    assert one.host.requested == []


async def test_encoder_told_to_leave__says_so_once_an_epoch_until_it_is_out(tmp_path: Path) -> None:
    story = Story()
    one = Newcomer(tmp_path, ENCODERS[0], story.epochs)
    set_leaving(one.directory, wished=True)
    one.host.connect(VALIDATORS[0])
    await one.run(1.5 * EPOCH_S)
    exits = [expect(payload, GENESIS.network_id, Exit) for _, _, payload in one.host.requested]
    assert [said.body.at.epoch for said in exits] == [0, 1]
    story.go_on(story.known(exits=exits))
    await one.run(2 * EPOCH_S)
    assert len(one.host.requested) == 2


async def test_encoder_of_genesis_that_left__shows_no_work(tmp_path: Path) -> None:
    story = Story()
    story.go_on(story.known(exits=[leaving(ENCODERS[0], 0)]))
    one = Newcomer(tmp_path, ENCODERS[0], story.epochs)
    one.host.connect(VALIDATORS[0])
    await one.run(5.0)
    assert one.heard[0][1].body.work == NO_WORK


async def test_work_that_takes_too_long__is_given_up_when_its_registration_would_be_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    async def endless(function: Callable[..., Any], *args: Any) -> None:
        await trio.sleep(EPOCH_S / 3)
        tries.append(args[2])

    monkeypatch.setattr(node.roles.registering.trio.to_thread, "run_sync", endless)
    one = Newcomer(tmp_path)
    one.host.connect(VALIDATORS[0])
    await one.run(4 * EPOCH_S)
    assert one.heard == []
    assert max(tries) > 0  # for a later epoch, the work begins anew


def test_work__is_bound_to_network_key_and_epoch() -> None:
    bits = 8
    nonce = find_work(GENESIS.network_id, ME, 3, bits, 0, 1 << 16)
    assert nonce is not None
    assert work_bits(GENESIS.network_id, ME, 3, nonce) >= bits
    others = [(bytes(32), ME, 3), (GENESIS.network_id, newcomer(1), 3), (GENESIS.network_id, ME, 4)]
    assert max(work_bits(*where, nonce) for where in others) < bits
    assert find_work(GENESIS.network_id, ME, 3, bits, 0, int.from_bytes(nonce, "big")) is None
