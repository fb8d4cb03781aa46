"""Two processes with one key, as when a restored node starts while the first still runs."""

from __future__ import annotations

import pytest

from node.network.host import Host, open_host
from node.network.identity import peer_id
from tests.network.peers import LOOPBACK, TOPIC, accept, collect, hosts, meshed, seed, until

pytestmark = [pytest.mark.anyio, pytest.mark.network]


def connections(host: Host, key: bytes) -> int:
    """How many connections are open between a host and all that have a key."""
    return len([c for c in host._swarm.get_connections(peer_id(key)) if not c.is_closed])


async def test_second_process_of_a_key__leaves_the_first_one_its_gossip() -> None:
    async with hosts(2) as (validator, first):
        await validator.subscribe(TOPIC, accept)
        received = await first.subscribe(TOPIC, accept)
        await first.dial(validator.addresses[0])
        await meshed([validator, first])
        peer = peer_id(first.public_key)
        async with open_host(seed(2), LOOPBACK) as second:
            await second.subscribe(TOPIC, accept)
            await second.dial(validator.addresses[0])
            await until(lambda: validator._pubsub._readers.get(peer) == 2)
        await until(lambda: connections(validator, first.public_key) == 1)
        await until(lambda: validator._pubsub._readers.get(peer) == 1)
        await until(lambda: peer in validator._router.mesh[TOPIC])
        await validator.publish(TOPIC, b"still here")
        assert await collect(received, 1) == [b"still here"]
