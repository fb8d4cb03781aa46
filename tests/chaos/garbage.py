"""What a hostile member sends, by kind: below the streams, as gossip, as requests, as statements.

Each attack is sent over one connection, as often as the victim lets it, and is refused by a rule of its own.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from libp2p.custom_types import TProtocol
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb import rpc_pb2
from libp2p.stream_muxer.yamux import yamux as wire
from libp2p.utils.varint import encode_varint_prefixed

from node.driver import STATEMENT_METHOD
from node.network.frames import encode_header
from node.network.host import Host
from node.network.identity import peer_id
from node.network.requests import PROTOCOL
from node.network.yamux import BoundedYamux
from protocol.genesis import Genesis
from protocol.gossip_rules import Topic
from protocol.messages import Attestation, Body, Commit
from protocol.schedule import ShardRound, shard_round
from protocol.signatures import sign
from protocol.statement import assemble, statement_digest

TIMEOUT_S = 5.0
TIMES = 30
"""How often one visit repeats what a victim may forgive a few times."""


@dataclass(frozen=True)
class Visit:
    """One hostile member connected to one victim."""

    genesis: Genesis
    host: Host
    seed: bytes
    victim: bytes
    round: int
    chance: random.Random

    @property
    def at(self) -> ShardRound:
        """The round that runs."""
        return shard_round(self.genesis, max(0, self.round), 0)

    def noise(self, size_bytes: int) -> bytes:
        """Random bytes."""
        return self.chance.randbytes(size_bytes)

    async def stream(self, protocol: str) -> Any:
        """A bare stream to the victim."""
        return await self.host._libp2p.new_stream(peer_id(self.victim), [TProtocol(protocol)])

    async def gossip(self, rpc: rpc_pb2.RPC) -> None:
        """An RPC of any content."""
        stream = await self.stream(str(PROTOCOL_ID_V11))
        await stream.write(encode_varint_prefixed(rpc.SerializeToString()))

    async def state(self, data: bytes) -> None:
        """Bytes handed over as a statement."""
        await self.host.request(self.victim, STATEMENT_METHOD, data, timeout_s=TIMEOUT_S)

    def muxer(self) -> BoundedYamux:
        """The multiplexed connection to the victim."""
        muxed = self.host._swarm.connections[peer_id(self.victim)][0].muxed_conn
        assert isinstance(muxed, BoundedYamux)
        return muxed

    def said(self, body: Body, network_id: bytes, signer: bytes) -> bytes:
        """A statement that claims a network and a signer, signed with the key at hand."""
        name = statement_digest(network_id, signer, body)
        return assemble(network_id, signer, body, sign(self.seed, name)).data


Attack = Callable[[Visit], Awaitable[None]]


async def gossip_noise(visit: Visit) -> None:
    """Bytes that are no RPC."""
    for _ in range(TIMES):
        stream = await visit.stream(str(PROTOCOL_ID_V11))
        await stream.write(encode_varint_prefixed(visit.noise(2_000)))


async def gossip_endless(visit: Visit) -> None:
    """A length that never ends, and one of four gigabytes."""
    for garbage in (b"\xff" * 11, b"\xff\xff\xff\xff\x0f" + bytes(64)):
        stream = await visit.stream(str(PROTOCOL_ID_V11))
        await stream.write(garbage)


async def gossip_crowd(visit: Visit) -> None:
    """Thousands of messages, and of subscriptions, in one RPC."""
    await visit.gossip(rpc_pb2.RPC(publish=[rpc_pb2.Message()] * 5_000))
    many = [rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"t{number}") for number in range(5_000)]
    await visit.gossip(rpc_pb2.RPC(subscriptions=many))


async def gossip_forged(visit: Visit) -> None:
    """Messages in another's name, with keys and signatures that are none."""
    topic = Topic(visit.genesis.network_id).rounds
    for _ in range(TIMES):
        message = rpc_pb2.Message(
            data=visit.noise(500),
            topicIDs=[topic],
            from_id=peer_id(visit.victim).to_bytes(),
            seqno=visit.noise(8),
            signature=visit.noise(64),
            key=visit.noise(36),
        )
        await visit.gossip(rpc_pb2.RPC(publish=[message]))


async def gossip_nonsense(visit: Visit) -> None:
    """Properly signed messages that no honest node would forward."""
    topics = Topic(visit.genesis.network_id)
    for size in (0, 1, 1_000, 500_000):
        for topic in (topics.rounds, topics.votes):
            await visit.host.publish(topic, visit.noise(size))


async def request_noise(visit: Visit) -> None:
    """Bytes that are no frame."""
    for _ in range(TIMES):
        stream = await visit.stream(str(PROTOCOL))
        await stream.write(visit.noise(2_000))


async def request_oversize(visit: Visit) -> None:
    """Frames that announce gigabytes."""
    for size in (2**31, 2**40, 2**62):
        stream = await visit.stream(str(PROTOCOL))
        await stream.write(encode_header(STATEMENT_METHOD, 0, size) + visit.noise(50_000))


async def statement_bombs(visit: Visit) -> None:
    """msgpack that asks for far more memory than it has bytes."""
    nested = b"\x91" * 200_000
    for bomb in (
        b"\x90" * 400_000,
        nested,
        b"\xdd\xff\xff\xff\xff" + bytes(100_000),
        b"\xdf\xff\xff\xff\xff" + bytes(100_000),
        b"\xc6\xff\xff\xff\xff" + bytes(100_000),
        b"\x96\x01" + b"\xdd\x00\x01\x00\x00" + b"\x80" * 65_536,
    ):
        await visit.state(bomb)


async def statement_of_another_network(visit: Visit) -> None:
    """A sound statement, said in another network."""
    for _ in range(TIMES):
        body = Commit(visit.at, 1, visit.noise(32), visit.noise(32))
        await visit.state(visit.said(body, visit.noise(32), visit.host.public_key))


async def statement_of_another_signer(visit: Visit) -> None:
    """A vote in the victim's name."""
    for _ in range(TIMES):
        body = Attestation(visit.at, visit.noise(32))
        await visit.state(visit.said(body, visit.genesis.network_id, visit.victim))


async def statement_of_a_stranger(visit: Visit) -> None:
    """A commit by a member that was not drawn."""
    for _ in range(TIMES):
        body = Commit(visit.at, 1, visit.noise(32), visit.noise(32))
        await visit.state(visit.said(body, visit.genesis.network_id, visit.host.public_key))


async def blob_nonsense(visit: Visit) -> None:
    """Requests for blobs that are not even requests."""
    for size in range(TIMES):
        await visit.host.request(visit.victim, "blob.get", visit.noise(size), timeout_s=TIMEOUT_S)


async def yamux_oversize(visit: Visit) -> None:
    """A frame larger than any window."""
    visit.muxer().send_control(BoundedYamux.frame(wire.TYPE_DATA, 0, 1, 2**32 - 1))


async def yamux_unknown(visit: Visit) -> None:
    """A frame of a type there is not."""
    visit.muxer().send_control(BoundedYamux.frame(9, 0, 1, 0))


async def yamux_streams(visit: Visit) -> None:
    """Streams without end."""
    for number in range(4_000):
        visit.muxer().send_control(
            BoundedYamux.frame(wire.TYPE_WINDOW_UPDATE, wire.FLAG_SYN, 100_001 + 2 * number, 0)
        )


KINDS: tuple[Attack, ...] = (
    gossip_noise,
    request_noise,
    statement_bombs,
    yamux_oversize,
    gossip_crowd,
    statement_of_another_network,
    gossip_forged,
    request_oversize,
    statement_of_another_signer,
    yamux_streams,
    gossip_nonsense,
    statement_of_a_stranger,
    blob_nonsense,
    gossip_endless,
    yamux_unknown,
)
