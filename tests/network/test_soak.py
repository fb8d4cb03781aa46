"""A peer that sends garbage on every protocol for a while: memory, latency and the process stay."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest
import trio

from node.network.limits import NetworkLimits
from protocol.verdict import Verdict
from tests.network.peers import TOPIC, hosts, raw_gossip, raw_requests, verdict, works

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]

SECONDS = 20
SIZES = (3, 50, 5_000, 60_000)


def resident_mb() -> float:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


async def test_garbage_for_twenty_seconds__grows_nothing_and_delays_nobody() -> None:
    chance = random.Random(1)
    # A budget that never ends: a banned attacker would be no test.
    async with hosts(3, NetworkLimits(penalty_budget=1e12)) as (victim, attacker, honest):
        await victim.subscribe(TOPIC, verdict(Verdict.REJECT))
        await honest.dial(victim.addresses[0])
        assert await works(victim, honest)
        before_mb, rounds, taken_s = resident_mb(), 0, []
        end_s = trio.current_time() + SECONDS
        while trio.current_time() < end_s:
            rounds += 1
            with suppress(Exception), trio.move_on_after(1):
                await attacker.dial(victim.addresses[0])
                stream = await (raw_gossip if rounds % 2 else raw_requests)(attacker, victim)
                await stream.write(chance.randbytes(chance.choice(SIZES)))
                await attacker.publish(TOPIC, chance.randbytes(1000))
                if rounds % 3 == 0:
                    await stream.reset()
            if rounds % 50 == 0:
                await attacker.disconnect(victim.public_key)
            if rounds % 10 == 0:
                started_s = trio.current_time()
                assert await works(victim, honest)
                taken_s.append(trio.current_time() - started_s)
        assert rounds > 100
        assert resident_mb() - before_mb < 50
        assert median(taken_s) < 0.1
        assert victim.penalty(attacker.public_key) > 1000
        assert victim.penalty(honest.public_key) == 0.0
