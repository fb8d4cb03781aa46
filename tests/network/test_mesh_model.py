"""The simulator's count of gossip's copies against the library's own mesh."""

from __future__ import annotations

import pytest

from node.sim.scale.mesh import Mesh, Wiring
from tests.network.peers import TOPIC, accept, collect, hosts, until

pytestmark = [pytest.mark.anyio, pytest.mark.network]

HOSTS, MESSAGES, SIZE_BYTES = 5, 10, 20_000


async def test_copies__of_real_hosts_are_those_of_the_model_or_a_few_less() -> None:
    async with hosts(HOSTS) as everyone:
        for at, host in enumerate(everyone):
            for other in everyone[:at]:
                await host.dial(other.addresses[0])
        channels = [await host.subscribe(TOPIC, accept) for host in everyone]
        await until(lambda: all(len(host._router.mesh[TOPIC]) == HOSTS - 1 for host in everyone), 20)
        before = sum(host.counters.get("gossip.bytes_out", 0) for host in everyone)
        for number in range(MESSAGES):
            await everyone[0].publish(TOPIC, bytes([number]) * SIZE_BYTES)
        for channel in channels[1:]:
            assert len(await collect(channel, MESSAGES)) == MESSAGES
        copies = (
            (sum(host.counters.get("gossip.bytes_out", 0) for host in everyone) - before)
            / MESSAGES
            / SIZE_BYTES
        )
    mesh = Mesh(Wiring.MESH, HOSTS - 1, HOSTS, 0)
    told = mesh.copies(1, 0, of_validator=True) + (HOSTS - 1) * mesh.copies(0, 1, of_validator=True)
    assert told == 16
    # A node that had it from a third one sends it neither there nor to its origin, which the model ignores.
    assert 0.7 * told < copies < 1.03 * told
