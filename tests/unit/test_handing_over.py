"""Handing over: at once when items come, together when they come together, and again without being woken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from node.handing_over import GATHER_S, LOOK_EVERY_S, HandingOver
from node.store import Store, StoreError
from node.submissions import Handover, Submissions
from protocol.codec import decode
from protocol.items import canonical_text, item_id
from protocol.schedule import shard_round
from tests.support.epochs import dealer_of, epochs_of
from tests.support.fakes import FakeHost
from tests.support.genesis import small_network

ITEMS = [canonical_text(f"item number {number}") for number in range(9)]


class Rig:
    """A node that is not the next dealer, in virtual time."""

    def __init__(self, store: Store) -> None:
        genesis, people, _ = small_network(4, 4)
        self.round = 0
        self.dealers = [dealer_of(genesis, shard_round(genesis, one, 0)) for one in range(8)]
        me = next(person.key for person in people if person.key not in self.dealers[:2])
        self.store = store
        self.host = FakeHost(me, answer=self._took)
        self.taken: list[tuple[bytes, list[bytes]]] = []
        submissions = Submissions(epochs_of(genesis), self.host.host, store)
        self.handing_over = HandingOver(submissions, lambda: self.round)

    async def _took(self, key: bytes, method: str, payload: bytes) -> bytes:
        items = list(decode(payload, Handover, size_bytes_max=1 << 20).items)
        self.taken.append((key, items))
        return str(len(items)).encode()

    def submit(self, *items: bytes) -> None:
        for item in items:
            self.store.submit_item(item_id(item), item, modality="text", source="me", submitted_ms=0)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Store.open(tmp_path / "store.sqlite", tmp_path / "blobs") as store:
        yield Rig(store)


async def in_threads() -> None:
    """Let the store's threads end: virtual time stands still for them."""
    for _ in range(40):
        await trio.lowlevel.checkpoint()
        await trio.to_thread.run_sync(lambda: None)


def run(rig: Rig, *steps: tuple[float, Callable[[], None]]) -> None:
    """Steps, each so many seconds after the one before."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.handing_over.run)
            await in_threads()
            for jump_s, step in steps:
                clock.jump(jump_s)
                await in_threads()
                step()
                await in_threads()
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)


def test_items__go_when_the_node_is_woken_and_those_that_come_together_go_together(rig: Rig) -> None:
    def come() -> None:
        for item in ITEMS[:3]:
            rig.submit(item)
            rig.handing_over.wake()

    run(rig, (0, come), (GATHER_S, lambda: None))
    assert [(key, sorted(items)) for key, items in rig.taken] == [(rig.dealers[0], sorted(ITEMS[:3]))]


def test_items_of_another_process__go_without_a_word(rig: Rig) -> None:
    run(rig, (0, lambda: rig.submit(ITEMS[0])), (LOOK_EVERY_S, lambda: None), (GATHER_S, lambda: None))
    assert [items for _, items in rig.taken] == [[ITEMS[0]]]


def test_next_slot__has_its_dealer_supplied_too(rig: Rig) -> None:
    def turn() -> None:
        rig.round = 1
        rig.handing_over.wake()

    run(
        rig,
        (0, lambda: rig.submit(ITEMS[0])),
        (LOOK_EVERY_S, lambda: None),
        (GATHER_S, turn),
        (GATHER_S, turn),
    )
    assert [key for key, _ in rig.taken] == rig.dealers[:2]


def test_store_that_fails__is_asked_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [StoreError("the disk is full")]
    waiting = rig.store.pending

    def pending(limit: int) -> object:
        if failing:
            raise failing.pop()
        return waiting(limit)

    monkeypatch.setattr(rig.store, "pending", pending)
    run(rig, (0, lambda: rig.submit(ITEMS[0])), (LOOK_EVERY_S, lambda: None), (GATHER_S, lambda: None))
    assert [items for _, items in rig.taken] == [[ITEMS[0]]]
