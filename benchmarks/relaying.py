"""What a validator gossips in a round as encoders get more: `python benchmarks/relaying.py [--wiring all]`.

Hosts over loopback in one process with the nodes' own connections, relays and gossip, but without machines:
one round after another the dealer drawn publishes what a round puts on the topic of rounds, sized as for a
shard of 16 (a challenge, three locks, a certificate). For each number of encoders: medians over validators
and rounds of what one receives and sends, its connections to encoders, and which share of the encoders heard
a message within 30 s. `--wiring all` connects every encoder to every validator and no encoder to another, as
it was; with the code of before the meshes had room for it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import Counter
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import msgspec
import structlog
import trio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from node.address_book import AddressBook
from node.clock import now_ms
from node.network.host import Host, open_host
from node.network.limits import NetworkLimits
from protocol.epochs.known import Epochs
from protocol.genesis import Genesis
from protocol.schedule import dealer_of, shard_round
from protocol.verdict import Verdict
from tests.support.genesis import small_network

LOOPBACK = ("/ip4/127.0.0.1/tcp/0",)
TOPIC = "benchmark/rounds"
SHARD = 16
SETTLE_S = 15.0
TRAILING_S = 2.0
"""Copies that come after the last encoder has heard a message, and announcements."""
HEARD_WITHIN_S = 30.0
EPOCH_ROUNDS = 1_024
STANDING = 6
CONNECTED_WITHIN_S = 10.0
# One process does the work of all nodes: what times out for want of a core says nothing about one node.
PATIENT = NetworkLimits(handshake_s=60, dial_s=60, keepalive_s=20, silence_s=120, write_stall_s=120)
COUNTED = ("gossip.bytes_in", "gossip.bytes_out")


def sizes_bytes(validators: int) -> tuple[int, ...]:
    """Envelopes of a challenge, three locks and a certificate, as a round of `SHARD` encoders has them."""
    lock = 400 + 70 * SHARD
    return (700, lock, lock, lock, 300 + 100 * validators)


class Listener:
    """Counts which message was heard by how many."""

    def __init__(self) -> None:
        self.heard: Counter[bytes] = Counter()

    def accept(self, data: bytes, key: bytes) -> Verdict:
        """Forward everything."""
        self.heard[data] += 1
        return Verdict.ACCEPT


async def measure(validators: int, encoders: int, rounds: int, slot_ms: int, wiring: str) -> dict[str, float]:
    """Run one network for some rounds."""
    timing: dict[str, Any] = {
        "slot_ms": slot_ms,
        "wave_deadline_ms": slot_ms // 4,
        "reveal_deadline_ms": slot_ms // 4,
    }
    genesis, dealing, encoding = small_network(
        validators, encoders, shard_size=SHARD, epoch_rounds=EPOCH_ROUNDS, chain_length=EPOCH_ROUNDS, **timing
    )
    listener, rng = Listener(), random.Random(encoders)
    async with AsyncExitStack() as stack:
        hubs = [
            await stack.enter_async_context(open_host(one.seed, LOOPBACK, limits=PATIENT)) for one in dealing
        ]
        members = tuple(
            msgspec.structs.replace(member, addresses=hub.addresses)
            for member, hub in zip(genesis.content.validators, hubs, strict=True)
        )
        content = msgspec.structs.replace(genesis.content, validators=members, genesis_time_ms=now_ms())
        genesis = Genesis(content)
        leaves = [
            await stack.enter_async_context(open_host(one.seed, LOOPBACK, limits=PATIENT)) for one in encoding
        ]
        nursery = await stack.enter_async_context(trio.open_nursery())
        for hub in hubs:
            await connect_validator(genesis, hub, nursery, wiring)
            await hub.subscribe(TOPIC, lambda data, key: Verdict.ACCEPT)
        for leaf in leaves:
            await leaf.subscribe(TOPIC, listener.accept)
            connect_encoder(genesis, leaf, nursery, wiring)
            # One process: it has as many handshakes to do as all of them together.
            await until_connected(leaf, genesis)
        samples, said = [], list[bytes]()
        dealers = {hub.public_key: hub for hub in hubs}
        await trio.sleep(SETTLE_S)
        for round_ in range(rounds + 1):
            samples.append([{key: hub.counters.get(key, 0) for key in COUNTED} for hub in hubs])
            at = shard_round(genesis, round_, 0)
            dealer = dealers[dealer_of(Epochs(genesis).of(at.epoch), at)]
            messages = [rng.randbytes(size_bytes) for size_bytes in sizes_bytes(validators)]
            for message in messages:
                await dealer.publish(TOPIC, message)
            said += messages
            # Not by the clock: where one process does everyone's work a round takes as long as it takes.
            with trio.move_on_after(HEARD_WITHIN_S):
                while any(listener.heard[message] < encoders for message in messages):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            await trio.sleep(TRAILING_S)
        keys = {one.key for one in encoding}
        connected = [sum(peer.public_key in keys for peer in hub.peers()) for hub in hubs]
        nursery.cancel_scope.cancel()
    grown = {
        key: [
            now[key] - then[key]
            for before, after in pairwise(samples)
            for then, now in zip(before, after, strict=True)
        ]
        for key in COUNTED
    }
    return {
        "encoders": encoders,
        "in, KB": median(grown["gossip.bytes_in"]) / 1000,
        "out, KB": median(grown["gossip.bytes_out"]) / 1000,
        "out, KB, most": max(grown["gossip.bytes_out"]) / 1000,
        "connected encoders": mean(connected),
        "heard, %": 100 * mean(listener.heard[message] / encoders for message in said),
    }


async def until_connected(leaf: Host, genesis: Genesis) -> None:
    """Wait until an encoder has most of the connections to validators that it will have."""
    with trio.move_on_after(CONNECTED_WITHIN_S):
        while sum(peer.public_key in genesis.validators for peer in leaf.peers()) < STANDING:  # noqa: ASYNC110
            await trio.sleep(0.02)


async def connect_validator(genesis: Genesis, hub: Host, nursery: trio.Nursery, wiring: str) -> None:
    """Dial the other validators; tell encoders of each other, and prefer validators in the mesh."""
    nursery.start_soon(AddressBook(Epochs(genesis), hub, ()).run)
    if wiring == "few":
        from node.relays import Relays

        Relays(hub, genesis.encoders.__contains__)
        hub.prefer(genesis.validators.__contains__, hub.limits.degree)


def connect_encoder(genesis: Genesis, leaf: Host, nursery: trio.Nursery, wiring: str) -> None:
    """Dial the validators that an encoder is connected to, and other encoders."""
    book = AddressBook(Epochs(genesis), leaf, ())
    nursery.start_soon(book.run)
    if wiring == "few":
        from config.settings import Settings
        from node.links import Links
        from node.relays import Relays

        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        links = Links(Epochs(genesis), leaf, book, defaults["standing_validators"])
        nursery.start_soon(links.run)
        relays = Relays(leaf, genesis.encoders.__contains__, defaults["relay_peers"], lambda: links.standing)
        nursery.start_soon(relays.run)
        leaf.prefer(genesis.validators.__contains__, 0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoders", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--validators", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--slot-ms", type=int, default=10_000)
    parser.add_argument("--wiring", choices=("few", "all"), default="few")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for encoders in options.encoders:
        row = trio.run(measure, options.validators, encoders, options.rounds, options.slot_ms, options.wiring)
        row["load"] = os.getloadavg()[0]
        told = {key: round(value, 1) for key, value in row.items()}
        sys.stdout.write(json.dumps({"wiring": options.wiring, **told}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
