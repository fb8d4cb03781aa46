"""Encoders that listen: how others hear of them, where they are believed to be, how many are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from config.addresses import checked_dial_address
from node.keys import peer_id
from node.network.errors import RequestError
from node.network.host import Host, open_host
from node.relays import (
    ANSWER_BYTES_MAX,
    CANDIDATES_MAX,
    METHOD,
    TOLD_MAX,
    Answer,
    Ask,
    Relay,
    Relays,
    listed_address,
)
from protocol.codec import decode, encode
from tests.network.peers import LOOPBACK, seed, until
from tests.support.genesis import small_network

pytestmark = pytest.mark.network
GENESIS, (VALIDATOR, *_), ENCODERS = small_network(encoders=8)
KEY = ENCODERS[0].key


@dataclass
class Member:
    """A node and what it knows of relays."""

    host: Host
    relays: Relays


@asynccontextmanager
async def validator() -> AsyncIterator[Member]:
    async with open_host(VALIDATOR.seed, LOOPBACK) as host:
        yield Member(host, Relays(host, GENESIS.encoders.__contains__, random_seed=b"v"))


@asynccontextmanager
async def encoder(
    number: int, hub: Member, wanted: int = 0, *, listens: bool = True
) -> AsyncIterator[Member]:
    """An encoder connected to the validator."""
    async with (
        open_host(ENCODERS[number].seed, LOOPBACK if listens else []) as host,
        trio.open_nursery() as nursery,
    ):
        relays = Relays(
            host, GENESIS.encoders.__contains__, wanted, lambda: (VALIDATOR.key,), random_seed=bytes([number])
        )
        await host.dial(hub.host.addresses[0])
        nursery.start_soon(relays.run)
        yield Member(host, relays)
        nursery.cancel_scope.cancel()


@pytest.mark.anyio
async def test_encoder__is_connected_to_those_that_listen_and_replaces_one_that_goes() -> None:
    async with (
        validator() as hub,
        encoder(0, hub) as first,
        encoder(1, hub) as second,
        encoder(2, hub, listens=False),
    ):
        await until(lambda: len(hub.relays._listening) == 2)
        async with encoder(3, hub, wanted=1, listens=False) as asking:
            await until(lambda: asking.relays.connected)
            (key,) = asking.relays.connected
            chosen, other = (first, second) if key == first.host.public_key else (second, first)
            asking.relays._candidates.clear()
            asking.relays._candidates[other.host.public_key] = other.host.addresses[0]
            await chosen.host.disconnect(asking.host.public_key)
            await until(lambda: asking.relays.connected == {other.host.public_key})


@pytest.mark.anyio
async def test_encoder__dials_no_more_than_it_wants_and_none_where_none_is_wanted() -> None:
    async with (
        validator() as hub,
        encoder(0, hub),
        encoder(1, hub),
        encoder(2, hub) as idle,
        encoder(3, hub, wanted=1, listens=False) as asking,
    ):
        await until(lambda: len(hub.relays._listening) == 3 and asking.relays.connected)
        await trio.sleep(0.2)
        assert len([peer for peer in asking.host.peers() if peer.public_key != VALIDATOR.key]) == 1
        assert not idle.relays.connected


@pytest.mark.anyio
async def test_relay_that_has_gone__is_not_named_any_more() -> None:
    async with validator() as hub:
        async with encoder(0, hub):
            await until(lambda: hub.relays._listening)
        await until(lambda: not hub.relays._listening)


@pytest.mark.anyio
async def test_stranger__is_told_nothing_and_not_listed() -> None:
    async with validator() as hub, encoder(0, hub), open_host(seed(99), []) as stranger:
        await until(lambda: hub.relays._listening)
        await stranger.dial(hub.host.addresses[0])
        with pytest.raises(RequestError, match="encoders of the network only"):
            await stranger.request(VALIDATOR.key, METHOD, encode(Ask(("/ip4/127.0.0.1/tcp/9",))), timeout_s=5)
        assert stranger.public_key not in hub.relays._listening


@pytest.mark.anyio
async def test_relays__told_by_a_flood_of_answers_are_bounded_and_members_only_are_dialled() -> None:
    async with validator() as hub, encoder(0, hub) as asking:
        known = asking.relays

        async def flood(peer: bytes, payload: bytes) -> bytes:
            flood.calls += 1  # type: ignore[attr-defined]
            keys = (seed(1_000 + TOLD_MAX * flood.calls + n) for n in range(TOLD_MAX))  # type: ignore[attr-defined]
            return encode(Answer(tuple(Relay(key, "/ip4/127.0.0.1/tcp/9") for key in keys)))

        flood.calls = 0  # type: ignore[attr-defined]
        hub.host.handle(METHOD, flood, request_bytes_max=2048, response_bytes_max=ANSWER_BYTES_MAX)
        for _ in range(2 * CANDIDATES_MAX // TOLD_MAX):
            await known._ask(VALIDATOR.key)
        assert 0 < len(known._candidates) <= CANDIDATES_MAX
        key, address = next(iter(known._candidates.items()))
        await known._dial(key, address)
        assert not known.connected


@pytest.mark.anyio
async def test_answer__names_at_most_so_many_and_fits_its_bound() -> None:
    async with validator() as hub, encoder(0, hub) as asking:
        await until(lambda: hub.relays._listening)
        long = "/dns/" + "a" * 150
        hub.relays._listening |= {seed(500 + n): f"{long}{n:03}/tcp/65535" for n in range(3 * TOLD_MAX)}
        data = await asking.host.request(
            VALIDATOR.key, METHOD, encode(Ask(())), timeout_s=5, response_bytes_max=ANSWER_BYTES_MAX
        )
        assert len(decode(data, Answer, size_bytes_max=ANSWER_BYTES_MAX).relays) == TOLD_MAX


parts = st.sampled_from(["127.0.0.1", "10.0.0.1", "192.0.2.7", "victim.example", "::1", "0.0.0.0", ""])
kinds = st.sampled_from(["ip4", "ip6", "dns", "x"])
addresses = st.builds("/{}/{}/tcp/{}".format, kinds, parts, st.sampled_from(["0", "80", "7700", "x"]))


@given(st.one_of(addresses, st.text(max_size=80)), st.one_of(addresses, st.text(max_size=80)))
def test_listed_address__is_the_told_port_where_the_peer_is_seen_or_nothing(told: str, seen: str) -> None:
    found = listed_address(told, seen, KEY)
    if found is not None:
        assert checked_dial_address(found, peer_id_required=True) == found
        assert found.split("/")[1:3] == seen.split("/")[1:3], "nobody else's machine"
        assert found.split("/")[4] == told.split("/")[4]
        assert found.endswith(f"/p2p/{peer_id(KEY)}")


def test_listed_address__of_an_honest_peer_is_found() -> None:
    assert (
        listed_address("/ip4/0.0.0.0/tcp/7700", "/ip4/192.0.2.7/tcp/51234", KEY)
        == f"/ip4/192.0.2.7/tcp/7700/p2p/{peer_id(KEY)}"
    )
