"""Finding the validators of a network: who tells what, what is believed, and what is passed on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from trio.testing import MockClock

from config.addresses import checked_dial_address
from node.address_book import (
    ADDRESSES_EACH_MAX,
    ANSWER_BYTES_MAX,
    KNOWN_MAX,
    METHOD,
    AddressBook,
    Answer,
    Known,
    _seen_at,
    dialable,
)
from node.epochs.admission import EPOCHS_AT_WORK
from node.keys import peer_id
from node.network.counters import Counters
from node.network.errors import DialError
from node.network.host import Host, open_host
from node.network.limits import NetworkLimits
from node.network.maintain import Maintainer
from protocol.codec import decode, encode
from protocol.epochs.known import Epochs
from protocol.genesis import Genesis
from tests.network.peers import LOOPBACK, until
from tests.support.genesis import small_network
from tests.support.memory_network import Identity
from tests.support.records import SEEDS, VALIDATORS, Story, card, conviction, newcomer, transfer

pytestmark = pytest.mark.network

EVERYWHERE = ["/ip4/0.0.0.0/tcp/0"]
GENESIS, (ALICE, BOB, CAROL), (ENCODER, *_) = small_network(validators=3)


@asynccontextmanager
async def member(
    person: Identity,
    bootstrap: Sequence[str] = (),
    listen: Sequence[str] = LOOPBACK,
    genesis: Genesis = GENESIS,
) -> AsyncIterator[Host]:
    """A running host with its address book."""
    async with (
        open_host(person.seed, listen, admit=genesis.is_member) as host,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(AddressBook(Epochs(genesis), host, bootstrap).run)
        yield host
        nursery.cancel_scope.cancel()


def here(host: Host) -> str:
    """Where a host that listens everywhere is reached on this machine."""
    return host.addresses[0].replace("/0.0.0.0/", "/127.0.0.1/")


@pytest.mark.anyio
async def test_validators__find_one_another_through_one_address_though_all_listen_everywhere() -> None:
    async with (
        member(ALICE, listen=EVERYWHERE) as alice,
        member(BOB, [here(alice)], EVERYWHERE) as bob,
        member(CAROL, [here(alice)], EVERYWHERE) as carol,
        member(ENCODER, [here(alice)], []) as encoder,
    ):
        await until(lambda: all(encoder.is_connected(one.public_key) for one in (alice, bob, carol)))
        await until(lambda: bob.is_connected(carol.public_key))
        assert encoder.addresses == ()


@pytest.mark.anyio
async def test_validator__that_moved_is_found_again_by_who_only_knew_its_old_place() -> None:
    async with member(ALICE) as alice, member(ENCODER, alice.addresses, []) as encoder:
        async with member(BOB, alice.addresses) as bob:
            old = bob.addresses
            await until(lambda: encoder.is_connected(BOB.key))
        await until(lambda: not encoder.is_connected(BOB.key))
        async with member(BOB, alice.addresses) as bob:
            assert bob.addresses != old
            await until(lambda: encoder.is_connected(BOB.key), 12)


@pytest.mark.anyio
async def test_answer__names_no_address_that_nobody_can_dial() -> None:
    async with (
        member(ALICE) as alice,
        member(BOB, alice.addresses, EVERYWHERE) as bob,
        open_host(CAROL.seed, []) as carol,
    ):
        await carol.dial(alice.addresses[0])
        await until(lambda: alice.is_connected(bob.public_key))

        async def known() -> dict[bytes, tuple[str, ...]]:
            answer = decode(
                await carol.request(ALICE.key, METHOD, b"", timeout_s=5),
                Answer,
                size_bytes_max=ANSWER_BYTES_MAX,
            )
            return {one.public_key: one.addresses for one in answer.known}

        with trio.fail_after(8):
            while BOB.key not in (found := await known()):  # noqa: ASYNC110
                await trio.sleep(0.05)
        assert found[ALICE.key] == alice.addresses
        assert found[BOB.key] == (here(bob),)


@pytest.mark.anyio
async def test_liar__cannot_displace_the_address_the_operator_gave() -> None:
    async with member(BOB) as bob:
        (given,) = bob.addresses
    lies = tuple(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id(BOB.key)}" for port in range(1, 9))

    async def lie(peer: bytes, payload: bytes) -> bytes:
        return encode(Answer((Known(BOB.key, lies),)))

    async with open_host(ALICE.seed, LOOPBACK) as liar, open_host(ENCODER.seed, []) as host:
        liar.handle(METHOD, lie, request_bytes_max=1, response_bytes_max=ANSWER_BYTES_MAX)
        book = AddressBook(Epochs(GENESIS), host, [given])
        await host.dial(liar.addresses[0])
        await book._ask(host.peers()[0])
        assert len(book.addresses_of(BOB.key)) == ADDRESSES_EACH_MAX
        assert given in book.addresses_of(BOB.key)
        async with member(BOB, listen=[given.partition("/p2p/")[0]]):
            await until(lambda: host.is_connected(BOB.key), 20)


@pytest.mark.anyio
async def test_peer_with_several_addresses__is_dialled_at_each_in_turn() -> None:
    async with member(BOB) as bob, open_host(ENCODER.seed, []) as host:
        closed = f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id(BOB.key)}"
        host.maintain([closed, bob.addresses[0]])
        await until(lambda: host.is_connected(BOB.key))
        assert host.counters["maintain.failed_dials"] >= 1


@pytest.mark.anyio
async def test_peer_with_many_addresses__is_kept_with_a_bounded_number() -> None:
    async with open_host(ENCODER.seed, []) as host:
        host.maintain(f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_id(BOB.key)}" for port in range(1, 100))
        maintainer: Maintainer = host._maintainer
        assert [len(known.addresses) for known in maintainer._known.values()] == [ADDRESSES_EACH_MAX]


texts = st.one_of(
    st.text(max_size=120),
    st.builds(
        "/{}/{}/tcp/{}{}".format,
        st.sampled_from(["ip4", "ip6", "dns", "x"]),
        st.sampled_from(["0.0.0.0", "::", "10.0.0.1", "2001:db8::1", "a.example", ""]),
        st.sampled_from(["0", "7700", "70000", "x"]),
        st.sampled_from(["", "/p2p/", f"/p2p/{peer_id(BOB.key)}", f"/p2p/{peer_id(ALICE.key)}"]),
    ),
)


def test_peer_out_of_reach__is_told_once_for_each_reason() -> None:
    counters, pauses = Counters(), list[float]()
    addresses = [f"/ip4/192.0.2.{n}/tcp/7700/p2p/{peer_id(BOB.key)}" for n in (1, 2)]

    async def dial(address: str) -> bytes:
        pauses.append(trio.current_time())
        raise DialError(address, "no answer")

    async def ten_minutes() -> None:
        maintainer = Maintainer(dial, lambda key: False, NetworkLimits(), counters)
        maintainer.add(addresses)
        with trio.move_on_after(600):
            await maintainer.run()

    with capture_logs() as said:
        trio.run(ten_minutes, clock=MockClock(autojump_threshold=0))
    assert [entry["event"] for entry in said] == ["peer.unreachable"] * 2
    assert {entry["reason"] for entry in said} == {
        f"cannot dial {address}: no answer" for address in addresses
    }
    assert pauses[1] - pauses[0] == pytest.approx(0.25)
    assert pauses[-1] - pauses[-3] == pytest.approx(30.25)


@given(texts)
def test_address_a_peer_tells__isdialable_and_names_its_validator_or_is_dropped(text: str) -> None:
    found = dialable(text, BOB.key)
    if found is not None:
        assert checked_dial_address(found, peer_id_required=True) == found
        assert found.endswith(f"/p2p/{peer_id(BOB.key)}")
        assert peer_id(ALICE.key) not in text


@given(texts, texts)
def test_address_told_of_itself__changes_only_when_it_is_every_address(text: str, connection: str) -> None:
    found = _seen_at(text, connection)
    if found != text:
        assert text.startswith(("/ip4/0.0.0.0/", "/ip6/::/"))
        assert found.split("/")[3:] == text.split("/")[3:]


@pytest.mark.anyio
async def test_validator_about_to_join__is_dialled_at_the_address_of_its_card_until_its_rounds_are_over() -> (
    None
):
    told, new, giver = Story(), newcomer(0), VALIDATORS[0]
    async with (
        open_host(SEEDS[new], LOOPBACK) as stranger,
        open_host(SEEDS[VALIDATORS[1]], []) as host,
        trio.open_nursery() as nursery,
    ):
        book = AddressBook(told.epochs, host, ())
        nursery.start_soon(book.run)
        await until(lambda: host.peers() == ())
        signed = card(new, addresses=stranger.addresses)
        told.go_on(told.known(transfers=[transfer(giver, new, 20, 0, signed)]))
        await until(lambda: host.is_connected(new), 10)
        told.go_on()

        async def known() -> dict[bytes, tuple[str, ...]]:
            answer = decode(await book._answer(giver, b""), Answer, size_bytes_max=ANSWER_BYTES_MAX)
            return {one.public_key: one.addresses for one in answer.known}

        told.go_on(told.known(evidence=[conviction(new, 2, by=giver)]))
        for _ in range(EPOCHS_AT_WORK):
            assert new not in told.newest.validators
            book._look_up()
            assert (await known())[new] == stranger.addresses
            assert new in host._maintainer._known
            told.go_on()
        book._look_up()
        assert new not in await known()
        assert new not in host._maintainer._known
        assert host.is_connected(new)
        nursery.cancel_scope.cancel()


@dataclass
class Passing:
    """Epochs of which each has other validators than the one before."""

    each: int
    past: list[Any] = field(default_factory=list)
    genesis: Any = field(default_factory=lambda: SimpleNamespace(validators={}))

    @property
    def newest(self) -> Any:
        return self.past[-1]

    def find(self, number: int) -> Any:
        return self.past[number] if 0 <= number < len(self.past) else None

    def go_on(self) -> None:
        first = len(self.past) * self.each
        cards = {key: card(key).card for key in map(newcomer, range(first, first + self.each))}
        self.past.append(
            SimpleNamespace(
                number=len(self.past),
                validators=cards,
                cards=list(cards.values()),
                record=SimpleNamespace(transfers=()),
            )
        )


@pytest.mark.anyio
async def test_book__holds_no_more_than_three_epochs_whoever_has_come_and_gone() -> None:
    told = Passing(each=4)
    told.go_on()
    most = told.each * (1 + EPOCHS_AT_WORK)
    async with open_host(ALICE.seed, [], limits=NetworkLimits(maintained_max=most)) as host:
        book = AddressBook(cast(Epochs, told), host, ())
        for _ in range(10 * (1 + EPOCHS_AT_WORK)):
            told.go_on()
            book._look_up()
            for key in tuple(book.kept):
                book._learn(key, ["/ip4/192.0.2.7/tcp/7700"])
            assert book.kept >= told.newest.validators.keys()
            assert max(map(len, (book._validators, book._given, book._told))) <= most
            # Had those that left kept their places, there would be none for those of today.
            assert host._maintainer._known.keys() == book.kept
        assert len(book.kept) == most
        assert not host.counters.get("maintain.full")


@pytest.mark.anyio
async def test_book__who_has_left_and_the_operator_named_is_dialled_on_at_that_address_alone() -> None:
    told = Passing(each=1)
    told.go_on()
    named = f"/ip4/192.0.2.1/tcp/7700/p2p/{peer_id(newcomer(0))}"
    async with open_host(ALICE.seed, []) as host:
        book = AddressBook(cast(Epochs, told), host, [named])
        assert book.given == {newcomer(0)}
        for _ in range(1 + EPOCHS_AT_WORK):
            told.go_on()
        book._look_up()
        assert newcomer(0) not in book.kept
        assert book.given == set()
        assert host._maintainer._known[newcomer(0)].addresses == (named,)


@pytest.mark.anyio
async def test_liar__adds_nobody_to_the_book() -> None:
    at = ("/ip4/192.0.2.7/tcp/7700",) * ADDRESSES_EACH_MAX
    crowd = Answer(tuple(Known(newcomer(number), at) for number in range(KNOWN_MAX)))

    async def lie(peer: bytes, payload: bytes) -> bytes:
        return encode(crowd)

    async with open_host(ALICE.seed, LOOPBACK) as liar, open_host(ENCODER.seed, []) as host:
        liar.handle(METHOD, lie, request_bytes_max=1, response_bytes_max=ANSWER_BYTES_MAX)
        book = AddressBook(Epochs(GENESIS), host, liar.addresses)
        await host.dial(liar.addresses[0])
        await book._ask(host.peers()[0])
        assert book._asked == {ALICE.key}
        assert book._validators == GENESIS.validators.keys()
        assert not book._told
        assert host._maintainer._known.keys() <= GENESIS.validators.keys()
