"""What a node does with statements that come by stream and by gossip."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from node.roles.base import join_gossip
from node.statements import HANDED_MAX, Handed
from protocol.epochs.known import Epochs
from protocol.gossip_rules import Judgement
from protocol.messages import Commit
from protocol.schedule import ShardRound
from protocol.verdict import Verdict
from tests.support.genesis import small_network

GENESIS, (VALIDATOR, *_), (ENCODER, *_) = small_network()
PEER = bytes(32)
COMMIT = Commit(ShardRound(0, 0, 0), 1, bytes(32), bytes(32))


class Wired:
    """A node's gossip with everything around it replaced; statements are new the first time."""

    def __init__(self, me: bytes) -> None:
        self.seen: set[bytes] = set()
        self.checks: dict[str, Any] = {}
        self.handlers: dict[str, Any] = {}
        self.passed_on: list[Any] = []
        self.preferred: list[Any] = []
        self.penalties: list[float] = []
        self.me = me

    def receive(self, data: bytes, topic: str | None = None) -> Judgement:
        if data.startswith(b"bad"):
            return Judgement(Verdict.REJECT, "bad")
        if data in self.seen:
            return Judgement(Verdict.IGNORE, "seen before")
        self.seen.add(data)
        body = COMMIT if data.startswith(b"commit") else None
        return Judgement(Verdict.ACCEPT, "", SimpleNamespace(body=body))  # type: ignore[arg-type]

    async def subscribe(self, topic: str, check: Any) -> Any:
        self.checks[topic.rpartition("/")[2]] = check
        return trio.open_memory_channel[Any](1)[1]

    async def join(self, nursery: trio.Nursery) -> None:
        node: Any = SimpleNamespace(
            genesis=GENESIS,
            me=self.me,
            settings=SimpleNamespace(bootstrap=()),
            directory=SimpleNamespace(root=Path("/nonexistent")),
        )
        host: Any = SimpleNamespace(
            subscribe=self.subscribe,
            handle=lambda name, handler, **_: self.handlers.update({name: handler}),
            prefer=lambda *told: self.preferred.append(told),
            on_peer=lambda _: None,
            on_misbehaviour=lambda _: None,
            penalise=lambda key, cost, reason: self.penalties.append(cost),
            limits=SimpleNamespace(degree=8),
            maintain=lambda _: None,
            peers=tuple,
            public_key=self.me,
        )
        driver: Any = SimpleNamespace(pass_on=self.passed_on.append)
        statements: Any = SimpleNamespace(receive=self.receive, epochs=Epochs(GENESIS))
        await join_gossip(node, host, driver, statements, nursery, votes=self.me == VALIDATOR.key)

    def gossip(self, data: bytes) -> Verdict:
        verdict: Verdict = self.checks["rounds"](data, PEER)
        return verdict

    async def stream(self, data: bytes) -> bytes:
        answer: bytes = await self.handlers["statement"](PEER, data)
        return answer


@pytest.mark.anyio
async def test_statement__handed_over_first_is_forwarded_when_gossip_brings_it_and_once_only() -> None:
    async with trio.open_nursery() as nursery:
        wired = Wired(ENCODER.key)
        await wired.join(nursery)
        assert await wired.stream(b"challenge") == b"accept"
        assert wired.gossip(b"challenge") is Verdict.ACCEPT
        assert wired.gossip(b"challenge") is Verdict.IGNORE
        assert wired.passed_on == []
        nursery.cancel_scope.cancel()


@pytest.mark.anyio
async def test_statement__that_gossip_brought_first_or_that_is_bad_is_not_forwarded_again() -> None:
    async with trio.open_nursery() as nursery:
        wired = Wired(ENCODER.key)
        await wired.join(nursery)
        assert wired.gossip(b"lock") is Verdict.ACCEPT
        assert await wired.stream(b"lock") == b"ignore"
        assert wired.gossip(b"lock") is Verdict.IGNORE
        assert await wired.stream(b"bad") == b"reject"
        assert wired.gossip(b"bad") is Verdict.REJECT
        assert wired.penalties == [10.0]
        nursery.cancel_scope.cancel()


@pytest.mark.anyio
async def test_commit__is_passed_on_by_its_witness_and_its_gossip_is_no_news() -> None:
    async with trio.open_nursery() as nursery:
        wired = Wired(VALIDATOR.key)
        await wired.join(nursery)
        await wired.stream(b"commit")
        assert len(wired.passed_on) == 1
        assert wired.checks["votes"](b"commit", PEER) is Verdict.IGNORE
        nursery.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize(("me", "meshed"), [(VALIDATOR.key, 8), (ENCODER.key, 0)])
async def test_validators__are_let_into_any_mesh_and_keep_each_other_in_theirs(
    me: bytes, meshed: int
) -> None:
    async with trio.open_nursery() as nursery:
        wired = Wired(me)
        await wired.join(nursery)
        ((preferred, at_least),) = wired.preferred
        assert at_least == meshed
        assert preferred(VALIDATOR.key)
        assert not preferred(ENCODER.key)
        nursery.cancel_scope.cancel()


def test_handed__forgets_the_oldest_beyond_its_bound() -> None:
    handed = Handed()
    for number in range(HANDED_MAX + 1):
        handed.add(number.to_bytes(4, "big"))
    assert not handed.take(bytes(4))
    assert handed.take(HANDED_MAX.to_bytes(4, "big"))


@given(st.lists(st.binary(max_size=2), max_size=20))
def test_handed__is_bounded_and_gives_each_once(statements: list[bytes]) -> None:
    handed = Handed()
    for data in statements:
        handed.add(data)
        assert len(handed._digests) <= HANDED_MAX
    if statements:
        assert handed.take(statements[-1])
        assert not handed.take(statements[-1])
    assert not handed.take(b"never")
