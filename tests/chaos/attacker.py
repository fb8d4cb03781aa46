"""An attacker: every kind of garbage, floods that stay within what is allowed, and strangers at the door.

Run as a script. It attacks until it is told to stop, or its time is over, and then prints as JSON how often
it did what. It is nice: in life it has a machine of its own, and here it must not take the processor from
those it attacks.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog
import trio
from multiaddr import Multiaddr

from config.genesis import load_genesis
from node.catch_up import METHOD as CATCH_UP_METHOD
from node.catch_up import Ask
from node.clock import now_ms
from node.driver import STATEMENT_METHOD
from node.keys import load_key
from node.network.errors import DialError, RequestError
from node.network.host import Host, open_host
from protocol.codec import encode
from protocol.genesis import Genesis
from protocol.gossip_rules import Topic
from protocol.schedule import round_at
from protocol.verdict import Verdict
from tests.chaos.garbage import KINDS, Attack, Visit

NICE = 19
HEARD_MAX = 2_048
"""Statements kept for replays."""
FLOOD_TASKS = 4
"""Requests in flight from the quiet member to one victim."""
HELD_OPEN = 40
"""Bare connections to one victim at one time."""
PAUSE_S = 0.2


@dataclass
class Campaign:
    """What every part of the attack shares."""

    genesis: Genesis
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    @property
    def victims(self) -> dict[bytes, str]:
        """Validators and where they listen."""
        return {key: member.addresses[0] for key, member in self.genesis.validators.items()}

    async def forever(self, name: str, act: Callable[[], Awaitable[None]], pause_s: float = PAUSE_S) -> None:
        """Do it again and again, whatever comes of it."""
        while True:
            try:
                with trio.move_on_after(30):
                    await act()
                self.done[name] += 1
            except Exception as error:
                # Refused, reset, banned: the attacker's lot.
                self.done[f"{name} failed: {type(error).__name__}"] += 1
            await trio.sleep(pause_s)


async def loud(campaign: Campaign, seed: bytes, first_kind: int) -> None:
    """A member that breaks every rule, one after the other, at every victim, until all have banned it."""
    async with _host(seed) as host, trio.open_nursery() as nursery:
        for number, (victim, address) in enumerate(campaign.victims.items()):
            kinds = deque(KINDS)
            kinds.rotate(-first_kind - 4 * number)
            nursery.start_soon(_visit_again_and_again, campaign, host, seed, victim, address, kinds)


async def _visit_again_and_again(
    campaign: Campaign, host: Host, seed: bytes, victim: bytes, address: str, kinds: deque[Attack]
) -> None:
    async def visit() -> None:
        await host.dial(address)
        attack = kinds[0]
        kinds.rotate(-1)
        campaign.done[f"visit {attack.__name__}"] += 1
        round_ = round_at(campaign.genesis, now_ms())
        await attack(Visit(campaign.genesis, host, seed, victim, round_, campaign.chance))

    await campaign.forever("loud", visit)


async def quiet(campaign: Campaign, seed: bytes) -> None:
    """A member that breaks no rule and asks, says and repeats as much as it may."""
    heard: deque[tuple[str, bytes]] = deque(maxlen=HEARD_MAX)

    def hear(topic: str, data: bytes, forwarder: bytes) -> Verdict:
        heard.append((topic, data))
        return Verdict.ACCEPT

    topics = Topic(campaign.genesis.network_id)
    async with _host(seed) as host, trio.open_nursery() as nursery:
        for topic in (topics.rounds, topics.votes):
            nursery.start_soon(_drain, await host.subscribe(topic, partial(hear, topic)))
        host.maintain(campaign.victims.values())

        async def replay_gossip() -> None:
            # The same bytes in a message of one's own are a new message to everyone.
            for topic, data in list(heard)[-200:]:
                await host.publish(topic, data)

        nursery.start_soon(campaign.forever, "replayed gossip", replay_gossip)
        for victim in campaign.victims:
            for _ in range(FLOOD_TASKS):
                nursery.start_soon(_flood, campaign, host, victim, heard)


async def _drain(channel: trio.MemoryReceiveChannel[tuple[bytes, bytes]]) -> None:
    async for _ in channel:
        pass


async def _flood(campaign: Campaign, host: Host, victim: bytes, heard: deque[tuple[str, bytes]]) -> None:
    async def ask(method: str, payload: bytes) -> None:
        try:
            await host.request(victim, method, payload, timeout_s=10.0)
        except RequestError:
            await trio.lowlevel.checkpoint()
        campaign.done[f"asked {method}"] += 1

    async def once() -> None:
        unknown = campaign.chance.randbytes(32) + (0).to_bytes(8, "big") + (1 << 20).to_bytes(4, "big")
        await ask("blob.get", unknown)
        await ask(CATCH_UP_METHOD, encode(Ask(0)))
        await ask("addresses", b"")
        await ask("no such method", b"x" * 1_000)
        for _ in range(20):
            if heard:
                await ask(STATEMENT_METHOD, campaign.chance.choice(heard)[1])

    await campaign.forever("flood", once, pause_s=0.0)


async def strangers(campaign: Campaign, address: str) -> None:
    """Keys nobody knows, one after the other."""

    async def knock() -> None:
        async with _host(campaign.chance.randbytes(32)) as host:
            try:
                await host.dial(address)
            except DialError:
                campaign.done["stranger refused"] += 1

    await campaign.forever("stranger", knock)


async def connections(campaign: Campaign, address: str) -> None:
    """Bare connections: garbage, other protocols, silence; opened and held."""
    port = int(Multiaddr(address).value_for_protocol("tcp"))
    hellos = (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x13/multistream/1.0.0\n", campaign.chance.randbytes(2_000))

    async def hold() -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(campaign.chance.choice(hellos))
            with trio.move_on_after(2):
                while await stream.receive_some(4_096):
                    pass

    async with trio.open_nursery() as nursery:
        for _ in range(HELD_OPEN):
            nursery.start_soon(campaign.forever, "connection", hold)


@asynccontextmanager
async def _host(seed: bytes) -> AsyncIterator[Host]:
    async with open_host(seed, []) as host:
        yield host


async def attack(
    campaign: Campaign, loud_seeds: list[bytes], quiet_seeds: list[bytes], seconds: float
) -> None:
    """All of it at once, for so long or until SIGTERM."""
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_told, nursery.cancel_scope)
            for number, seed in enumerate(loud_seeds):
                nursery.start_soon(loud, campaign, seed, campaign.chance.randrange(len(KINDS)) + number)
            for seed in quiet_seeds:
                nursery.start_soon(quiet, campaign, seed)
            for address in campaign.victims.values():
                nursery.start_soon(strangers, campaign, address)
                nursery.start_soon(connections, campaign, address)


async def _stop_when_told(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def main() -> None:
    """Attack, then say what was done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--genesis", type=Path, required=True)
    parser.add_argument("--loud", type=Path, action="append", default=[], help="key file of a loud member")
    parser.add_argument("--quiet", type=Path, action="append", default=[], help="key file of a quiet member")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    # Standard output is for the result.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.nice(NICE)
    campaign = Campaign(load_genesis(given.genesis), random.Random(given.seed))
    seeds = [[load_key(path).seed for path in paths] for paths in (given.loud, given.quiet)]
    trio.run(attack, campaign, seeds[0], seeds[1], given.seconds)
    sys.stdout.write(json.dumps(campaign.done, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
