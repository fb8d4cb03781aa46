"""The watch for another node with the same key: it believes signatures only, and knows its own votes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from config.datadir import DataDir
from node.backup.restored import restored_path
from node.cli.errors import ExitCode, explain
from node.keys import NodeKey
from node.last_votes import METHOD, SIGNERS_MAX, LastVotes
from node.network.errors import RequestError
from node.roles import doppelganger
from node.roles.doppelganger import (
    RESTORED_ROUNDS,
    UNANSWERED_ROUNDS_MAX,
    WATCHING,
    Doppelganger,
    DoppelgangerFound,
)
from node.signer import Signer, SignerError, VoteSlot
from node.signer.ledger import ROUNDS_KEPT
from node.statements import Statements
from protocol.evidence import equivocation
from protocol.messages import Attestation, Body
from protocol.schedule import shard_round, slot_start_ms
from protocol.signatures import sign
from protocol.statement import Statement, assemble, statement_digest
from tests.support.epochs import epochs_of
from tests.support.fakes import FakeHost, VirtualClock, virtual_clock
from tests.support.genesis import small_network
from tests.support.memory_network import Identity

pytestmark = pytest.mark.anyio
GENESIS, VALIDATORS, ENCODERS = small_network(4, 4)
ME, OTHER, THIRD, _ = VALIDATORS
ROUND = 5
"""Runs when the node starts."""
SLOT_S = GENESIS.parameters.slot_ms / 1_000
ROUNDS = 2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    return virtual_clock(monkeypatch, slot_start_ms(GENESIS, ROUND) + 1_000)


@pytest.fixture
def anyio_backend(clock: VirtualClock) -> tuple[str, dict[str, object]]:
    return "trio", {"clock": clock.trio_clock}


def said(who: Identity, round_: int, mark: bytes = b"r") -> Statement[Attestation]:
    body = Attestation(shard_round(GENESIS, round_, 0), mark * 32)
    name = statement_digest(GENESIS.network_id, who.key, body)
    return assemble(GENESIS.network_id, who.key, body, sign(who.seed, name))


class Started:
    """A node that has just started, with one validator to ask."""

    def __init__(self, folder: Path, signer: Signer, me: Identity, rounds: int) -> None:
        self.me = me
        self.answer = b""
        self.reached = True
        self.host = FakeHost(me.key, self._answer)
        self.host.connect(OTHER.key)
        self.directory = DataDir(folder)
        self.signer = signer
        settings = SimpleNamespace(doppelganger_rounds=rounds)
        node = SimpleNamespace(
            genesis=GENESIS, settings=settings, directory=self.directory, me=me.key, key=NodeKey(me.seed)
        )
        epochs = epochs_of(GENESIS)
        self.statements = Statements(epochs, signer, self.host.counters)
        self.watch = Doppelganger(cast(Any, node), epochs, self.host.host, signer, self.statements)

    async def _answer(self, key: bytes, method: str, payload: bytes) -> bytes:
        assert (method, payload) == (METHOD, b"")
        if not self.reached:
            raise RequestError(key, method, "gone")
        return self.answer

    async def refuses(self, rounds: int = 4) -> str:
        with pytest.raises(DoppelgangerFound) as caught, trio.fail_after(rounds * SLOT_S):
            await self.watch.run()
        with pytest.raises(SignerError, match="another node signs"):
            self.signer.sign(VoteSlot("report", 0, 50, 0), b"1" * 32)
        assert not self.signer.has_failed()  # or it would be opened again
        assert explain(caught.value)[1] is ExitCode.NODE_STATE
        return str(caught.value)

    async def goes_on(self, rounds: float) -> None:
        with trio.move_on_after(rounds * SLOT_S):
            await self.watch.run()


@asynccontextmanager
async def started(
    folder: Path, *, me: Identity = ME, rounds: int = ROUNDS, restored: bool = False
) -> AsyncIterator[Started]:
    if restored:
        restored_path(DataDir(folder)).touch()
    with Signer.open(folder / "signer.sqlite", me.seed, GENESIS.network_id, first_round=ROUND + 1) as signer:
        yield Started(folder, signer, me, rounds)


@pytest.mark.parametrize("me", [ME, ENCODERS[0]], ids=["validator", "encoder"])
async def test_vote_of_another_node__is_learnt_by_asking(tmp_path: Path, me: Identity) -> None:
    async with started(tmp_path, me=me) as node:
        node.answer = said(me, ROUND + 1).data
        message = await node.refuses()
        assert f"of round {ROUND + 1}" in message


@pytest.mark.parametrize("way", ["gossip", "evidence"])
async def test_vote_of_another_node__is_heard_in_gossip_and_in_evidence(tmp_path: Path, way: str) -> None:
    pair = equivocation(said(ME, ROUND + 1, b"a"), said(ME, ROUND + 1, b"b"))
    name = statement_digest(GENESIS.network_id, OTHER.key, pair)
    evidence = assemble(GENESIS.network_id, OTHER.key, pair, sign(OTHER.seed, name))
    async with started(tmp_path) as node:
        await node.goes_on(1.2)
        node.statements.receive((said(ME, ROUND + 1) if way == "gossip" else evidence).data)
        await node.refuses()


async def test_votes_of_an_earlier_process__are_ones_own(tmp_path: Path) -> None:
    with Signer.open(tmp_path / "signer.sqlite", ME.seed, GENESIS.network_id, first_round=ROUND) as before:
        mine = said(ME, ROUND, b"m")
        before.sign(VoteSlot("attestation", 0, ROUND, 0), mine.digest)
    async with started(tmp_path) as node:
        node.answer = mine.data
        await node.goes_on(ROUNDS + 2)
        assert node.watch.phase("running") == "running"
        assert node.host.penalties == []


async def test_last_votes_of_the_machine_before__are_no_alarm(tmp_path: Path) -> None:
    async with started(tmp_path, restored=True) as node:
        node.answer = said(ME, ROUND).data  # it ran until this node was started
        await node.goes_on(ROUNDS + 2)
        assert node.watch.phase("running") == "running"


async def test_own_vote_in_a_watched_round__is_known_by_the_signers_records(tmp_path: Path) -> None:
    async with started(tmp_path, rounds=0) as node:
        mine = await node.statements.sign(Attestation(shard_round(GENESIS, ROUND + 1, 0), b"m" * 32))
        node.watch.hear(cast("Statement[Body]", mine))
        await node.goes_on(1)
        node.watch.hear(cast("Statement[Body]", said(ME, ROUND + 1, b"x")))
        await node.refuses()


async def test_watch__lasts_its_rounds_and_holds_back_the_signer(tmp_path: Path) -> None:
    async with started(tmp_path) as node:
        assert node.signer.first_round == ROUND + 1 + ROUNDS
        await node.goes_on(ROUNDS + 0.5)
        assert node.watch.phase("running") == WATCHING
        await node.goes_on(1)
        assert node.watch.phase("running") == "running"
        assert node.signer.first_round == ROUND + 1 + ROUNDS
        # And it goes on asking.
        node.answer = said(ME, ROUND + 3).data
        await node.refuses()


async def test_watch__asks_them_all_in_turn_where_there_are_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doppelganger, "ASKED_MAX", 1)
    async with started(tmp_path) as node:
        others = [who.key for who in VALIDATORS if who is not ME]
        node.host.connect(*others)
        await node.goes_on(1)
        assert {key for key, _, _ in node.host.requested} == set(others)


async def test_watch__waits_for_an_answer_but_not_for_ever(tmp_path: Path) -> None:
    async with started(tmp_path) as node:
        node.reached = False
        await node.goes_on(ROUNDS + 3)
        assert node.watch.phase("running") == WATCHING
        assert node.signer.first_round > ROUND + 1 + ROUNDS
        await node.goes_on(UNANSWERED_ROUNDS_MAX)
        assert node.watch.phase("running") == "running"
        assert node.signer.first_round == ROUND + 1 + UNANSWERED_ROUNDS_MAX


async def test_restored_key__is_watched_for_whatever_the_settings_say(tmp_path: Path) -> None:
    async with started(tmp_path, rounds=0, restored=True) as node:
        assert node.signer.first_round == ROUND + 1 + RESTORED_ROUNDS
        await node.goes_on(1)
        assert restored_path(node.directory).exists()
        await node.goes_on(RESTORED_ROUNDS + 1)
        assert not restored_path(node.directory).exists()


async def test_no_watch__costs_no_round(tmp_path: Path) -> None:
    async with started(tmp_path, rounds=0) as node:
        assert node.signer.first_round == ROUND + 1
        assert node.watch.phase("running") == "running"
        await node.goes_on(3)
        assert node.host.requested == []


@pytest.mark.parametrize("lie", ["garbage", "another's", "unsigned", "cut"])
async def test_liar__cannot_stop_a_node(tmp_path: Path, lie: str) -> None:
    mine = said(ME, ROUND + 1)
    body = mine.body
    forged = assemble(GENESIS.network_id, ME.key, body, sign(OTHER.seed, mine.digest))
    answers = {
        "garbage": b"\x93" * 40,
        "another's": said(THIRD, ROUND + 1).data,
        "unsigned": forged.data,
        "cut": mine.data[:-1],
    }
    async with started(tmp_path) as node:
        node.answer = answers[lie]
        await node.goes_on(2)
        assert node.host.penalties
        node.answer = b""
        await node.goes_on(ROUNDS)
        assert node.watch.phase("running") == "running"


async def test_node_asked__tells_a_key_its_own_newest_vote(tmp_path: Path) -> None:
    async with started(tmp_path) as node:
        await node.goes_on(1.5)
        newest = said(OTHER, ROUND + 1)
        for statement in (newest, said(OTHER, ROUND), said(THIRD, ROUND)):
            node.statements.receive(statement.data)
        asked = node.host.handlers[METHOD]
        assert await asked(OTHER.key, b"") == newest.data
        assert await asked(ENCODERS[0].key, b"") == b""


def test_last_votes__are_bounded() -> None:
    votes = LastVotes()
    one = said(OTHER, ROUND)
    for number in range(SIGNERS_MAX + 5):
        signer = number.to_bytes(32, "big")
        votes.note(cast("Statement[Body]", replace(one, signer=signer)))
    assert votes.of((4).to_bytes(32, "big")) == b""
    assert votes.of((SIGNERS_MAX).to_bytes(32, "big")) == one.data


async def test_own_vote_so_old_that_its_record_was_let_go__stops_nobody(tmp_path: Path) -> None:
    async with started(tmp_path, rounds=0) as node:
        old = await node.statements.sign(Attestation(shard_round(GENESIS, ROUND + 1, 0), b"m" * 32))
        last = ROUND + 1 + ROUNDS_KEPT
        node.signer.sign(VoteSlot("attestation", 0, last, 0), b"1" * 32)
        # Whoever kept it, an encoder's peer or a validator that is asked, can show it at any time.
        node.watch.hear(cast("Statement[Body]", old))
        await node.goes_on(1)
        node.watch.hear(cast("Statement[Body]", said(ME, ROUND + 2)))
        await node.refuses()


async def test_disk_that_hangs_under_a_vote__holds_up_nobody_and_the_vote_is_heard_again(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as node:
        node.answer = said(ME, ROUND + 1).data
        with node.signer._mutex:
            await node.goes_on(0.3)
            node.signer.forbid()
        await node.refuses()


async def test_votes_whose_record_was_replaced_under_the_node__are_no_other_nodes(tmp_path: Path) -> None:
    async with started(tmp_path, rounds=0) as node:
        mine = await node.statements.sign(Attestation(shard_round(GENESIS, ROUND + 1, 0), b"m" * 32))
        (tmp_path / "signer.sqlite").unlink()
        with pytest.raises(SignerError):
            node.signer.sign(VoteSlot("report", 0, ROUND + 1, 0), b"1" * 32)
        node.signer.reopen(ROUND + 4)
        node.watch.hear(cast("Statement[Body]", mine))
        await node.goes_on(1)
        node.watch.hear(cast("Statement[Body]", said(ME, ROUND + 4)))
        await node.refuses()
