"""The mesh of a topic: how many are let in, who always is, and that those outside still hear."""

from __future__ import annotations

import pytest
from libp2p.peer.id import ID

from node.network.host import Host
from node.network.identity import peer_id
from node.network.limits import NetworkLimits
from tests.network.peers import TOPIC, accept, collect, hosts, until

pytestmark = [pytest.mark.anyio, pytest.mark.network]
LET_IN = 2
LIMITS = NetworkLimits(meshed_max=LET_IN, degree=3, heartbeat_s=0.2)


def mesh_of(host: Host) -> set[ID]:
    """Whom a host sends whole messages of the topic."""
    return set(host._router.mesh[TOPIC])


def ids(members: list[Host]) -> set[ID]:
    return {peer_id(member.public_key) for member in members}


async def dial(leaves: list[Host], hub: Host) -> None:
    for leaf in leaves:
        await leaf.dial(hub.addresses[0])
        if TOPIC not in leaf._inboxes:
            await leaf.subscribe(TOPIC, accept)


async def test_full_mesh__refuses_whom_it_has_no_room_for_and_all_still_hear() -> None:
    async with hosts(6, LIMITS) as (hub, *leaves):
        await hub.subscribe(TOPIC, accept)
        for leaf in leaves:
            await leaf.dial(hub.addresses[0])
        channels = [await leaf.subscribe(TOPIC, accept) for leaf in leaves]
        await until(lambda: hub.counters.get("gossip.graft_refused", 0) >= 1)
        await until(lambda: sum(bool(mesh_of(leaf)) for leaf in leaves) == len(mesh_of(hub)))
        assert len(mesh_of(hub)) <= max(LET_IN, LIMITS.degree)
        for number in range(3):
            await hub.publish(TOPIC, b"%d" % number)
        for channel in channels:
            assert sorted(await collect(channel, 3)) == [b"0", b"1", b"2"]
        assert all(leaf.penalty(hub.public_key) == 0 for leaf in leaves)


async def test_refused_peer__is_not_grafted_from_the_other_side_meanwhile() -> None:
    async with hosts(6, LIMITS) as (hub, *leaves):
        await hub.subscribe(TOPIC, accept)
        await dial(leaves, hub)
        await until(lambda: hub.counters.get("gossip.graft_refused", 0) >= 1)
        outside = [leaf for leaf in leaves if peer_id(leaf.public_key) in hub._router.back_off[TOPIC]]
        assert outside
        first = outside[0]
        assert peer_id(first.public_key) not in mesh_of(hub)
        # Once it has gone nothing is remembered of it.
        await first.disconnect(hub.public_key)
        await until(lambda: peer_id(first.public_key) not in hub._router.back_off[TOPIC])


async def test_preferred_peer__is_let_into_a_full_mesh() -> None:
    async with hosts(7, LIMITS) as (hub, chosen, *leaves):
        hub.prefer(lambda key: key == chosen.public_key, 0)
        await hub.subscribe(TOPIC, accept)
        await dial(leaves, hub)
        await until(lambda: hub.counters.get("gossip.graft_refused", 0) >= 1)
        await dial([chosen], hub)
        await until(lambda: peer_id(chosen.public_key) in mesh_of(hub))
        await until(lambda: peer_id(hub.public_key) in mesh_of(chosen))


async def test_preferred_peers__are_grafted_though_the_mesh_has_enough_others() -> None:
    # Else whoever comes first keeps the validators apart.
    async with hosts(8, LIMITS) as (hub, *others):
        leaves, chosen = others[:4], others[4:]
        hub.prefer(lambda key: key in {one.public_key for one in chosen}, 2)
        for one in chosen:
            one._router.degree = one._router.degree_low = 0  # they look for nobody
        await hub.subscribe(TOPIC, accept)
        await dial(leaves, hub)
        await until(lambda: len(mesh_of(hub)) >= LET_IN)
        await dial(chosen, hub)
        await until(lambda: len(mesh_of(hub) & ids(chosen)) == 2)
        assert len(mesh_of(hub) & ids(leaves)) >= 1


@pytest.mark.parametrize("meshed_min", [0, 2])
async def test_announcements__go_to_preferred_peers_from_their_like_only(meshed_min: int) -> None:
    async with hosts(3, LIMITS) as (host, chosen, other):
        host.prefer(lambda key: key == chosen.public_key, meshed_min)
        await host.subscribe(TOPIC, accept)
        for one in (chosen, other):
            await one.subscribe(TOPIC, accept)
            await dial([host], one)
        router = host._router
        await until(lambda: len(host._pubsub.peer_topics.get(TOPIC, ())) == 2)
        router.mesh[TOPIC].clear()
        await host.publish(TOPIC, b"news")
        told = set(router.gossip_heartbeat())
        assert told == (ids([chosen, other]) if meshed_min else ids([other]))


async def test_announcements__go_to_a_bounded_number_however_many_are_connected() -> None:
    async with hosts(1, NetworkLimits(announced_to=5)) as (host,):
        counts = {host._router._get_adaptive_gossip_peers_count(TOPIC, total) for total in (0, 10, 1_000)}
        assert counts == {5}
