"""The parts of the network layer that need no network."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2

from node.network.counters import NAMES_MAX, OVERFLOW, Counters
from node.network.errors import DialError
from node.network.frames import HEADER_BYTES_MAX, FrameError, FrameReader, encode_header
from node.network.gossipsub import BoundedMessageCache
from node.network.identity import key_pair, parse_address, peer_id, public_key
from node.network.limits import NetworkLimits
from node.network.pubsub import SEEN_S, BoundedRpcQueue, SeenMessages
from node.network.rate import TokenBucket
from node.network.reputation import Reputation
from node.network.topics import Inbox
from node.network.windows import WindowBudget

pytestmark = pytest.mark.anyio
KEY = bytes(range(32))


class Pieces:
    """A byte stream that delivers prepared pieces, then ends."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]

    async def read(self, n: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if n is not None and len(piece) > n:
            self.pieces.insert(0, piece[n:])
            piece = piece[:n]
        return piece

    async def write(self, data: bytes) -> None:
        raise AssertionError("nothing is written here")


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = [0, *sorted(point % (len(data) + 1) for point in points), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(
    st.lists(st.binary(max_size=2000), min_size=1, max_size=5), st.lists(st.integers(0, 10**6), max_size=8)
)
def test_frames__come_back_whole_however_they_are_cut(payloads: list[bytes], points: list[int]) -> None:
    wire = b"".join(encode_header("m", 3, len(payload)) + payload for payload in payloads)

    async def read_all() -> list[bytes]:
        reader = FrameReader(Pieces(cut(wire, points)))
        found = []
        for _ in payloads:
            method, status, size = await reader.header(started_s=1)
            assert (method, status) == ("m", 3)
            found.append(await reader.payload(size))
        assert reader.buffered == 0
        return found

    assert trio.run(read_all) == payloads


@given(st.binary(max_size=700))
def test_frames__any_bytes_give_a_header_or_a_frame_error(wire: bytes) -> None:
    async def read() -> None:
        try:
            _, _, size = await FrameReader(Pieces([wire])).header(started_s=1)
        except FrameError:
            return
        assert size >= 0
        assert len(wire) > 4

    trio.run(read)


async def test_frames__large_payload_is_joined_from_pieces() -> None:
    payload = bytes(300_000)
    reader = FrameReader(
        Pieces(cut(encode_header("big", 0, len(payload)) + payload, [70_000, 140_000, 299_000]))
    )
    _, _, size = await reader.header(started_s=1)
    assert await reader.payload(size) == payload


@pytest.mark.parametrize("length", [HEADER_BYTES_MAX + 1, 2**32 - 1])
async def test_frames__oversize_header_is_refused_by_its_announcement(length: int) -> None:
    with pytest.raises(FrameError, match="exceeds"):
        await FrameReader(Pieces([length.to_bytes(4, "big")])).header(started_s=1)


@pytest.mark.parametrize("header", [["m", 0, -1], ["m" * 129, 0, 1], ["m", 0], [1, 2, 3], ["m", "0", 1], "m"])
async def test_frames__header_out_of_schema_is_refused(header: object) -> None:
    raw = msgspec.msgpack.encode(header)
    with pytest.raises(FrameError, match="header"):
        await FrameReader(Pieces([len(raw).to_bytes(4, "big") + raw])).header(started_s=1)


async def test_frames__header_that_never_finishes_is_late() -> None:
    class Dribble(Pieces):
        async def read(self, n: int | None = None) -> bytes:
            if not self.pieces:
                await trio.sleep_forever()
            return await super().read(n)

    with pytest.raises(FrameError, match="never finished"):
        await FrameReader(Dribble([b"\x00\x00"])).header(started_s=0.01)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 5)), max_size=40))
def test_token_bucket__never_passes_more_than_burst_plus_rate(steps: list[tuple[float, float]]) -> None:
    bucket, now_s, passed = TokenBucket(10.0, 20.0, 0.0), 0.0, 0.0
    for amount, pause_s in steps:
        now_s += pause_s
        wait_s = bucket.take(amount, now_s)
        now_s += wait_s
        passed += amount
        assert passed <= 20.0 + 10.0 * now_s + 1e-6


def test_reputation__budget_spent_bans_and_time_forgives() -> None:
    limits = NetworkLimits(penalty_budget=100, penalty_half_life_s=10, ban_s=60)
    table = Reputation(limits)
    assert not table.penalise(KEY, 60, 0.0)
    assert not table.penalise(KEY, 60, 10.0), "half of the first is forgiven"
    assert table.penalise(KEY, 60, 10.0)
    assert table.is_banned(KEY, 69.9)
    assert not table.is_banned(KEY, 70.1)
    assert table.penalty(KEY, 70.1) == 0.0


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 150)), max_size=300))
def test_reputation__table_stays_bounded_and_keeps_the_banned(events: list[tuple[int, float]]) -> None:
    table = Reputation(NetworkLimits(reputations_max=50))
    table.ban(KEY, 1e9, 0.0)
    for number, cost in events:
        table.penalise(number.to_bytes(32, "big"), min(cost, 99.0), 1.0)
    assert len(table) <= 50
    assert table.is_banned(KEY, 2.0)


def test_reputation__unban_forgets() -> None:
    table = Reputation(NetworkLimits())
    table.ban(KEY, 100, 0.0)
    table.unban(KEY)
    assert not table.is_banned(KEY, 1.0)


def test_counters__names_are_bounded() -> None:
    counters = Counters()
    for number in range(NAMES_MAX + 100):
        counters.add(f"name {number}")
    assert len(counters) == NAMES_MAX + 1
    assert counters[OVERFLOW] == 100


@given(st.lists(st.integers(0, 5), max_size=60))
def test_windows__budget_is_never_exceeded_and_comes_back(peers: list[int]) -> None:
    limits = NetworkLimits(window_bytes=1000, window_bytes_per_peer_max=3000, window_bytes_total_max=5000)
    budget, granted = WindowBudget(limits), []
    for peer in peers:
        granted.append((bytes([peer]), budget.grant(bytes([peer]))))
        assert budget.granted_bytes <= 5000
        assert sum(size for key, size in granted if key == bytes([peer])) <= 3000
    for key, size in granted:
        budget.release(key, size)
    assert budget.granted_bytes == 0
    assert budget._by_peer == {}


def test_seen_messages__bounded_and_oldest_forgotten() -> None:
    seen = SeenMessages(3)
    assert [seen.add(name) for name in (b"a", b"b", b"a", b"c", b"d")] == [True, True, False, True, True]
    assert len(seen) == 3
    assert not seen.has(b"a")
    assert seen.has(b"d")


def test_seen_messages__forgotten_after_a_while() -> None:
    clock = [0.0]
    seen = SeenMessages(1_000_000, lambda: clock[0])
    for second in range(int(3 * SEEN_S)):
        clock[0] = float(second)
        assert seen.add(second.to_bytes(8, "big"))
        assert len(seen) <= SEEN_S + 1
    assert seen.has((second - int(SEEN_S)).to_bytes(8, "big"))
    assert not seen.has((second - int(SEEN_S) - 1).to_bytes(8, "big"))


async def test_outbound_queue__holds_a_burst_of_300_and_counts_what_it_drops() -> None:
    counters = Counters()
    queue = BoundedRpcQueue(NetworkLimits(gossip_queue_messages=400, gossip_queue_bytes=10_000), counters)
    small = rpc_pb2.RPC(publish=[rpc_pb2.Message(data=b"x")])
    assert all(queue.push(small) for _ in range(300))
    assert not queue.push(rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(9000))]))
    assert counters["gossip.dropped.outbound_queue_full"] == 1
    for _ in range(300):
        assert await queue.pop() is not None
    assert queue.push(rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes(9000))])), "bytes were given back"


async def test_inbox__bounded_in_bytes_when_nobody_reads() -> None:
    counters = Counters()
    inbox = Inbox(NetworkLimits(gossip_queue_bytes=1000), counters)
    for _ in range(5):
        inbox.put(bytes(300), KEY)
    assert counters["gossip.dropped.inbox_full"] == 2


def test_message_cache__bounded_in_bytes() -> None:
    cache = BoundedMessageCache(3, 5, 1000)
    for number in range(10):
        cache.put(rpc_pb2.Message(data=bytes(300), from_id=b"a", seqno=bytes([number]), topicIDs=["t"]))
    assert len(cache.msgs) == 3
    for _ in range(5):
        cache.shift()
    assert cache.size_bytes == 0


@given(st.binary(min_size=32, max_size=32))
def test_identity__key_and_peer_id_are_one(identity_seed: bytes) -> None:
    key = key_pair(identity_seed).public_key.to_bytes()
    assert public_key(peer_id(key)) == key


def test_identity__seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key_pair(b"short")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("nonsense", "not a multiaddr"),
        ("/ip4/127.0.0.1/tcp/1", "not a multiaddr like"),
        ("/ip4/127.0.0.1/udp/1/p2p/12D3KooWEfY2TmhEWp1scTkNTgGcB6sBdaeicFJXJjeBmUpFMyg8", "only TCP"),
        ("/ip4/127.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "not an Ed25519 key"),
    ],
)
def test_address__what_is_wrong_is_said(address: str, reason: str) -> None:
    with pytest.raises(DialError, match=reason):
        parse_address(address)
