"""The queue in turns: no client's list holds up another's; each is bounded, and first in, first out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.store import Put, QueueFull, Store, StoreLimits
from node.store.items import OPERATOR
from protocol.items import item_id

LIMITS = StoreLimits(
    pending_items_max=40,
    pending_bytes_max=4_000,
    pending_items_per_client_max=20,
    pending_bytes_per_client_max=1_000,
)
ROUND = 7


class Queue:
    """The store's queue in virtual time: a tick an item."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_ms = 0
        self.contents: dict[bytes, str] = {}

    def submit(self, client: str, text: str, size_bytes: int = 0) -> Put:
        self.now_ms += 1
        content = text.encode().ljust(size_bytes)
        name = item_id(content)
        put = self.store.submit_item(
            name, content, modality="text", source="api", submitted_ms=self.now_ms, client=client
        )
        self.contents[name] = text
        return put

    def next(self, limit: int = 100) -> list[str]:
        return [self.contents[record.item_id] for record in self.store.pending(limit)]

    def serve(self, count: int = 1) -> list[str]:
        records = self.store.pending(count)
        self.store.mark_dealt([record.item_id for record in records], ROUND)
        return [self.contents[record.item_id] for record in records]

    def clients(self) -> dict[str, tuple[int, int]]:
        rows = self.store._all("SELECT name, items, size_bytes FROM clients")
        return {name: (items, size_bytes) for name, items, size_bytes in rows}


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    with Store.open(tmp_path / "store.sqlite", tmp_path / "blobs", limits=LIMITS) as store:
        yield Queue(store)


def test_long_list__delays_another_client_by_one_item(queue: Queue) -> None:
    for number in range(12):
        queue.submit("alice", f"a{number}")
    queue.submit("bob", "b0")
    queue.submit("bob", "b1")
    assert queue.next(5) == ["a0", "b0", "a1", "b1", "a2"]
    assert queue.serve(4) == ["a0", "b0", "a1", "b1"]
    queue.submit("carol", "c0")
    # Behind what is next of everybody who waits already, before the rest of their lists.
    assert queue.next(3) == ["a2", "c0", "a3"]


def test_client_that_comes_and_goes__overtakes_nobody(queue: Queue) -> None:
    queue.submit("alice", "a0")
    queue.submit("alice", "a1")
    served = []
    for number in range(6):
        queue.submit("bob", f"b{number}")
        served += queue.serve()
    assert served == ["a0", "b0", "a1", "b1", "b2", "b3"]


def test_clients_that_never_end__do_not_starve_who_waits(queue: Queue) -> None:
    for number in range(3):
        queue.submit("alice", f"a{number}")
    served = []
    for number in range(16):
        queue.submit(f"sybil {number}", f"s{number}")
        queue.submit(f"sybil {number + 100}", f"t{number}")
        served += queue.serve()
    assert {"a0", "a1", "a2"} <= set(served)


def test_items_of_a_void_round__come_first_again(queue: Queue) -> None:
    for number in range(3):
        queue.submit("alice", f"a{number}")
    queue.submit("bob", "b0")
    assert queue.serve(2) == ["a0", "b0"]
    queue.submit("carol", "c0")
    queue.store.requeue_items(ROUND)
    assert queue.next() == ["a0", "b0", "a1", "c0", "a2"]


def test_item_asked_for_by_two_clients__has_the_earlier_of_their_places(queue: Queue) -> None:
    for number in range(9):
        queue.submit("alice", f"a{number}")
    assert queue.submit("bob", "a8") is Put.KNOWN
    assert queue.next(3) == ["a0", "a8", "a1"]
    assert queue.clients() == {"alice": (8, 16), "bob": (1, 2)}
    # The other way it changes nothing.
    assert queue.submit("alice", "a8") is Put.KNOWN
    assert queue.next(3) == ["a0", "a8", "a1"]


def test_client__is_bounded_in_items_and_others_are_not_by_it(queue: Queue) -> None:
    for number in range(20):
        queue.submit("alice", f"a{number}")
    with pytest.raises(QueueFull, match=r"20 items .* of one client"):
        queue.submit("alice", "one more")
    for number in range(20):
        assert queue.submit(OPERATOR, f"o{number}") is Put.NEW
    with pytest.raises(QueueFull, match="40 items"):
        queue.submit("bob", "b0")
    queue.serve(2)
    assert queue.submit("alice", "one more") is Put.NEW
    assert queue.submit("bob", "b0") is Put.NEW


def test_client__is_bounded_in_bytes(queue: Queue) -> None:
    queue.submit("alice", "a0", 600)
    with pytest.raises(QueueFull, match="600 bytes"):
        queue.submit("alice", "a1", 401)
    assert queue.submit("alice", "a1", 400) is Put.NEW
    assert queue.submit("bob", "b0", 600) is Put.NEW


def test_item_of_another__is_not_taken_over_beyond_the_bound(queue: Queue) -> None:
    for number, size_bytes in enumerate((300, 300, 400)):
        queue.submit("alice", f"a{number}", size_bytes)
    queue.submit("bob", "b0", 700)
    assert queue.submit("bob", "a2", 400) is Put.KNOWN
    assert queue.next() == ["a0", "b0", "a1", "a2"]
    assert queue.clients() == {"alice": (3, 1_000), "bob": (1, 700)}


def test_operator__is_bounded_by_the_whole_queue_alone(queue: Queue) -> None:
    for number in range(40):
        assert queue.submit(OPERATOR, f"o{number}") is Put.NEW
    with pytest.raises(QueueFull, match="40 items"):
        queue.submit(OPERATOR, "one more")


def test_client_with_nothing_in_the_queue__is_forgotten(queue: Queue) -> None:
    queue.submit("alice", "a0")
    queue.submit("bob", "b0")
    queue.serve(2)
    assert queue.clients() == {}
    rows = queue.store._all("SELECT * FROM items")
    assert not any("alice" in str(value) for row in rows for value in row)


def test_what_is_next__is_read_off_an_index_however_long_the_queue(queue: Queue) -> None:
    order = "ORDER BY turn, client, submitted_ms, item_id LIMIT 9"
    for asked, index in (
        (f"SELECT item_id FROM items WHERE state = 'pending' {order}", "items_in_turn (state=?)"),
        ("SELECT 1 FROM items WHERE state = 'pending' AND turn < 7", "items_in_turn (state=? AND turn<?)"),
        (
            "SELECT max(turn) FROM items WHERE state = 'pending' AND client = 7",
            "items_of_client (state=? AND client=?)",
        ),
    ):
        plan = " ".join(row[3] for row in queue.store._all(f"EXPLAIN QUERY PLAN {asked}"))
        assert index in plan
        assert "TEMP B-TREE" not in plan


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from("abcd"), st.integers(1, 5)),
        st.tuples(st.just("serve"), st.just(""), st.integers(1, 4)),
        st.tuples(st.just("requeue"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_queue__serves_in_turn_in_order_and_starves_nobody(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("turns")
    with Store.open(folder / "store.sqlite", folder / "blobs") as store:
        queue = Queue(store)
        lines: dict[str, deque[str]] = {}
        # For the head of each line: whom it saw served since it became the head, and who joined since.
        seen: dict[str, Counter[str]] = {}
        late: dict[str, set[str]] = {}
        first: set[str] = set()  # lines whose head is the first since their client joined
        number = 0
        for step, client, count in steps:
            if step == "submit":
                for _ in range(count):
                    number += 1
                    queue.submit(client, f"{client}{number}")
                    if client not in lines:
                        lines[client], seen[client], late[client] = deque(), Counter(), set()
                        first.add(client)
                        for other in lines.keys() - {client}:
                            late[other].add(client)
                    lines[client].append(f"{client}{number}")
            elif step == "serve":
                whole = queue.next(count)
                one_by_one = [text for _ in range(count) for text in queue.serve()]
                assert one_by_one == whole  # a batch is what serving one by one would give
                for text in one_by_one:
                    of = text[0]
                    assert lines[of].popleft() == text  # first in, first out
                    for other in lines.keys() - {of}:
                        assert of not in late[other]  # who comes later does not overtake
                        seen[other][of] += 1
                        # Who just joined stands behind everybody's next item, which may be their second.
                        assert seen[other][of] <= (2 if other in first else 1)
                    seen[of], late[of] = Counter(), set()
                    first.discard(of)
                    if not lines[of]:
                        del lines[of], seen[of], late[of]
                        for other in lines:
                            late[other].discard(of)
                assert len(one_by_one) == count or not queue.next()  # nobody waits for nothing
            assert {name: count for name, (count, _) in queue.clients().items()} == {
                name: len(line) for name, line in lines.items()
            }


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_queue__counts_of_clients_hold_whatever_comes_back(
    steps: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    with Store.open(folder / "store.sqlite", folder / "blobs") as store:
        queue, number = Queue(store), 0
        for step, client, count in steps:
            if step == "submit":
                for _ in range(count):
                    number += 1
                    # Some of them twice, and by several.
                    queue.submit(client, f"text {number % 7 if number % 3 else number}")
            elif step == "serve":
                queue.serve(count)
            else:
                store.requeue_items(ROUND)
            # A client that had gone when its items came back is unknown: they wait, and count for nobody.
            rows = store._all(
                "SELECT name, items, (SELECT count(*) FROM items "
                "WHERE state = 'pending' AND client = clients.id) FROM clients"
            )
            assert all(told == found and told > 0 for _, told, found in rows)
            waiting = store._one("SELECT count(*) FROM items WHERE state = 'pending'")
            assert waiting == (len(queue.next()),)
