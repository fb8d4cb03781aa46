"""Submissions: handed to one dealer, taken from validators only, neither lost nor dealt twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from node.network.errors import RequestError, RequestRefused
from node.store import QueueFull, Store, StoreLimits
from node.store.items import ItemState
from node.submissions import ITEMS_MAX, METHOD, REQUEST_BYTES_MAX, Handover, Submissions, _fitting
from protocol.codec import decode, encode
from protocol.genesis import Genesis
from protocol.items import canonical_text, item_id
from protocol.schedule import shard_round
from tests.support.epochs import dealer_of, epochs_of
from tests.support.fakes import FakeHost
from tests.support.genesis import small_network

pytestmark = pytest.mark.anyio
ITEMS = [canonical_text(f"item number {number}") for number in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(
        tmp_path / "store.sqlite", tmp_path / "blobs", limits=StoreLimits(pending_items_max=30)
    ) as store:
        yield store


def submit(store: Store, *items: bytes) -> None:
    for number, item in enumerate(items):
        store.submit_item(item_id(item), item, modality="text", source="me", submitted_ms=number)


def rounds_dealt_by(genesis: Genesis, key: bytes, *, others: bool = False) -> list[int]:
    """Rounds of which `key` deals no shard, or some."""
    shards = range(genesis.parameters.shards_per_round)
    return [
        round_
        for round_ in range(40)
        if any(dealer_of(genesis, shard_round(genesis, round_, shard)) == key for shard in shards) != others
    ]


async def test_pending_items__go_to_the_next_dealer_in_order_within_the_bound(store: Store) -> None:
    genesis, people, _ = small_network(4, 4)
    host = FakeHost(people[0].key, answer=taken)
    submit(store, *ITEMS[:20])
    round_ = rounds_dealt_by(genesis, host.public_key, others=True)[0]
    await Submissions(epochs_of(genesis), host.host, store).hand_over(round_)
    ((to, method, payload),) = host.requested
    assert (to, method) == (dealer_of(genesis, shard_round(genesis, round_, 0)), METHOD)
    handed = decode(payload, Handover, size_bytes_max=1 << 20).items
    assert list(handed) == ITEMS[: genesis.parameters.served_items_max]
    # They stay here until a certificate covers them.
    assert store.item_counts()[ItemState.PENDING] == 20


async def test_items_larger_than_one_request__go_as_many_as_fit(store: Store) -> None:
    genesis, people, _ = small_network(4, 4, modality="image", items=64, served_items_max=200)
    host = FakeHost(people[0].key, answer=taken)
    pictures = [b"\x00\x80\x00\x80" + bytes([shade]) * 49_152 for shade in range(30)]
    submit(store, *pictures)
    submissions = Submissions(epochs_of(genesis), host.host, store)
    for number in range(30, 100):
        pictures.append(b"\x00\x80\x00\x80" + bytes([number]) * 49_152)
    handed = _fitting(tuple(pictures))
    assert (
        len(encode(Handover(handed)))
        <= REQUEST_BYTES_MAX
        < len(encode(Handover(tuple(pictures[: len(handed) + 1]))))
    )
    await submissions.hand_over(rounds_dealt_by(genesis, host.public_key, others=True)[0])
    ((_, _, payload),) = host.requested
    assert list(decode(payload, Handover, size_bytes_max=REQUEST_BYTES_MAX).items) == pictures[:30]


async def taken(key: bytes, method: str, payload: bytes) -> bytes:
    return b"16"


async def test_long_list_of_a_client__leaves_the_batch_to_others_too(store: Store) -> None:
    genesis, people, _ = small_network(4, 4, served_items_max=4)
    host = FakeHost(people[0].key, answer=took_all)
    for number, item in enumerate(ITEMS[:20]):
        store.submit_item(
            item_id(item), item, modality="text", source="api", submitted_ms=number, client="alice"
        )
    for client, item in (("bob", ITEMS[20]), ("carol", ITEMS[21])):
        store.submit_item(item_id(item), item, modality="text", source="api", submitted_ms=99, client=client)
    expected = [ITEMS[0], ITEMS[20], ITEMS[21], ITEMS[1]]
    submissions = Submissions(epochs_of(genesis), host.host, store)
    assert list(submissions.pending()) == expected
    await submissions.hand_over(rounds_dealt_by(genesis, host.public_key, others=True)[0])
    assert handed(host) == [expected]


async def test_validators__are_served_in_turn_at_a_dealer(store: Store) -> None:
    genesis, people, _ = small_network(4, 4, served_items_max=4)
    host = FakeHost(people[0].key)
    submissions = Submissions(epochs_of(genesis), host.host, store)
    take = host.handlers[METHOD]
    assert await take(people[1].key, encode(Handover(tuple(ITEMS[:9])))) == b"9"
    assert await take(people[2].key, encode(Handover(tuple(ITEMS[9:11])))) == b"2"
    submit(store, ITEMS[11])
    assert list(submissions.pending()) == [ITEMS[0], ITEMS[9], ITEMS[11], ITEMS[1]]


async def test_nothing_pending_or_own_round__bothers_nobody(store: Store) -> None:
    genesis, people, _ = small_network(4, 4)
    host = FakeHost(people[0].key, answer=taken)
    submissions = Submissions(epochs_of(genesis), host.host, store)
    await submissions.hand_over(rounds_dealt_by(genesis, host.public_key, others=True)[0])
    submit(store, *ITEMS[:3])
    await submissions.hand_over(rounds_dealt_by(genesis, host.public_key)[0])
    assert host.requested == []


async def test_dealers_of_several_shards__only_one_gets_the_items(store: Store) -> None:
    genesis, people, _ = small_network(4, 4, shards_per_round=3, chain_length=64)
    submit(store, *ITEMS[:3])
    round_ = next(
        round_
        for round_ in rounds_dealt_by(genesis, people[0].key, others=True)
        if len({dealer_of(genesis, shard_round(genesis, round_, shard)) for shard in range(3)}) > 1
    )
    refusing = dealer_of(genesis, shard_round(genesis, round_, 0))

    async def answer(key: bytes, method: str, payload: bytes) -> bytes:
        if key == refusing:
            raise RequestError(key, method, "refused")
        return b"3"

    host = FakeHost(people[0].key, answer=answer)
    await Submissions(epochs_of(genesis), host.host, store).hand_over(round_)
    asked = [key for key, _, _ in host.requested]
    assert asked[0] == refusing
    assert len(asked) == len(set(asked)) == 2


async def test_unreachable_dealer__leaves_items_pending(store: Store) -> None:
    genesis, people, _ = small_network(4, 4)
    submit(store, *ITEMS[:3])
    host = FakeHost(people[0].key)
    await Submissions(epochs_of(genesis), host.host, store).hand_over(
        rounds_dealt_by(genesis, host.public_key, others=True)[0]
    )
    assert len(host.requested) == 1
    assert store.item_counts()[ItemState.PENDING] == 3


def test_batch__holds_no_more_than_the_network_allows(store: Store) -> None:
    genesis, people, _ = small_network(1, 4, served_items_max=5)
    submit(store, *ITEMS[:20])
    submissions = Submissions(epochs_of(genesis), FakeHost(people[0].key).host, store)
    assert submissions.pending() == tuple(ITEMS[:5])
    genesis, people, _ = small_network(1, 4, served_items_max=0)
    assert Submissions(epochs_of(genesis), FakeHost(people[0].key).host, store).pending() == ()


async def test_items_of_a_validator__are_queued_once_up_to_the_bound(store: Store) -> None:
    genesis, people, _ = small_network(4, 4)
    host = FakeHost(people[0].key)
    Submissions(epochs_of(genesis), host.host, store)
    peer, take = people[1].key, host.handlers[METHOD]
    assert await take(peer, encode(Handover(tuple(ITEMS[:10])))) == b"10"
    assert await take(peer, encode(Handover(tuple(ITEMS[:10])))) == b"10"
    assert store.item_counts()[ItemState.PENDING] == 10
    assert await take(peer, encode(Handover(tuple(ITEMS)))) == b"30"
    assert store.item_counts()[ItemState.PENDING] == 30
    with pytest.raises(QueueFull):
        submit(store, canonical_text("one more"))
    assert host.penalties == []


@pytest.mark.parametrize(
    "payload",
    [
        b"nonsense",
        encode(Handover((b"two  spaces",))),
        encode(Handover((b"\xff\xfe",))),
        encode([[b"x"] * (ITEMS_MAX + 1)]),
    ],
)
async def test_nonsense__is_refused_and_costs(store: Store, payload: bytes) -> None:
    genesis, people, _ = small_network(4, 4)
    host = FakeHost(people[0].key)
    Submissions(epochs_of(genesis), host.host, store)
    with pytest.raises(RequestRefused, match="canonical"):
        await host.handlers[METHOD](people[1].key, payload)
    assert [key for key, _, _ in host.penalties] == [people[1].key]
    assert store.item_counts()[ItemState.PENDING] == 0


async def test_encoders_and_strangers__hand_over_nothing(store: Store) -> None:
    genesis, people, encoders = small_network(4, 4)
    host = FakeHost(people[0].key)
    Submissions(epochs_of(genesis), host.host, store)
    for key in (encoders[0].key, b"s" * 32):
        with pytest.raises(RequestRefused, match="validators only"):
            await host.handlers[METHOD](key, encode(Handover((ITEMS[0],))))
    assert store.item_counts()[ItemState.PENDING] == 0


async def test_store_that_fails__refuses_and_holds_nothing_against_the_peer(store: Store) -> None:
    genesis, people, _ = small_network(4, 4)
    host = FakeHost(people[0].key)
    Submissions(epochs_of(genesis), host.host, store)
    store.close()
    with pytest.raises(RequestRefused, match="store"):
        await host.handlers[METHOD](people[1].key, encode(Handover((ITEMS[0],))))
    assert host.penalties == []


def test_items_dealt_in_rounds_whose_end_was_not_seen__are_put_back(store: Store) -> None:
    submit(store, *ITEMS[:4])
    names = [item_id(item) for item in ITEMS[:4]]
    store.mark_dealt(names[:1], 3)
    store.mark_dealt(names[1:3], 4)
    store.mark_released(names[1:3], 4)
    store.mark_dealt(names[3:], 5)
    store.mark_certified(names[2:3], 4)
    assert store.requeue_before(5) == 2
    states = [record.state for name in names if (record := store.item(name)) is not None]
    assert states == [ItemState.PENDING, ItemState.PENDING, ItemState.CERTIFIED, ItemState.DEALT]
    assert store.requeue_before(5) == 0


async def test_items_that_come_later__go_to_the_same_dealer_and_no_item_twice(store: Store) -> None:
    genesis, people, _ = small_network(4, 4, served_items_max=6)
    host = FakeHost(people[0].key, answer=took_all)
    submissions = Submissions(epochs_of(genesis), host.host, store)
    round_ = rounds_dealt_by(genesis, host.public_key, others=True)[0]
    submit(store, *ITEMS[:4])
    await submissions.hand_over(round_)
    await submissions.hand_over(round_)
    assert handed(host) == [ITEMS[:4]]
    submit(store, *ITEMS[:9])
    await submissions.hand_over(round_)
    await submissions.hand_over(round_)
    # All in all no more than a batch holds.
    assert [len(items) for items in handed(host)] == [4, 2]
    assert {item for items in handed(host) for item in items} < set(ITEMS[:9])


async def test_items_a_round_under_way_may_certify__come_last(store: Store) -> None:
    genesis, people, _ = small_network(4, 4, served_items_max=4)
    host = FakeHost(people[0].key, answer=took_all)
    submissions = Submissions(epochs_of(genesis), host.host, store)
    rounds = rounds_dealt_by(genesis, host.public_key, others=True)
    round_ = next(one for one in rounds if one + 1 in rounds)
    submit(store, *ITEMS[:4])
    await submissions.hand_over(round_)
    submit(store, *ITEMS[:7])
    await submissions.hand_over(round_ + 1)
    *new, old = handed(host)[1]
    assert set(new) == set(ITEMS[4:7])
    assert old in ITEMS[:4]
    # Certified ones leave room for others at once.
    store.mark_certified([item_id(item) for item in ITEMS[:4]], round_)
    submit(store, *ITEMS[7:9])
    await submissions.hand_over(round_ + 1)
    assert handed(host)[2:] == [[ITEMS[7]]]


async def test_items_a_dealer_took_not_all_of__are_offered_again(store: Store) -> None:
    genesis, people, _ = small_network(4, 4)
    answers = [b"2", b"-1", b"nonsense", b"99999"]

    async def some(key: bytes, method: str, payload: bytes) -> bytes:
        return answers.pop(0)

    host = FakeHost(people[0].key, answer=some)
    submissions = Submissions(epochs_of(genesis), host.host, store)
    round_ = rounds_dealt_by(genesis, host.public_key, others=True)[0]
    submit(store, *ITEMS[:3])
    for _ in range(5):
        await submissions.hand_over(round_)
    assert handed(host) == [ITEMS[:3], ITEMS[2:3], ITEMS[2:3], ITEMS[2:3]]


async def took_all(key: bytes, method: str, payload: bytes) -> bytes:
    return str(len(decode(payload, Handover, size_bytes_max=1 << 20).items)).encode()


def handed(host: FakeHost) -> list[list[bytes]]:
    return [list(decode(payload, Handover, size_bytes_max=1 << 20).items) for _, _, payload in host.requested]
