"""Blobs: believed by their hash only, whoever sends them and however it goes wrong."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from node.network.errors import BlobsFull, FetchError, RequestRefused
from node.network.exchange import METHOD, BlobStore, Exchange, MemoryBlobs, StreamExchange, digest_of
from node.network.host import Host
from node.network.limits import NetworkLimits
from tests.network.peers import hosts, pair, until

pytestmark = [pytest.mark.anyio]
MIB = 1024 * 1024
network = pytest.mark.network


def exchange(host: Host, **options: object) -> StreamExchange:
    """An exchange with room for 64 MiB."""
    return StreamExchange(host, MemoryBlobs(64 * MIB), **options)  # type: ignore[arg-type]


def serve(host: Host, answer: object) -> None:
    """Serve the blob method with `answer(request payload) -> bytes`."""

    async def handler(peer: bytes, payload: bytes) -> bytes:
        return answer(payload)  # type: ignore[operator, no-any-return]

    host.handle(METHOD, handler, request_bytes_max=100, response_bytes_max=2 * MIB)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_memory_blobs__hold_what_fits_and_give_the_room_back(blobs: list[bytes]) -> None:
    store: BlobStore = MemoryBlobs(1000)
    kept: dict[bytes, bytes] = {}
    for blob in blobs:
        room = 1000 - sum(map(len, kept.values()))
        if len(blob) <= room or blob in kept.values():
            kept[store.put(blob)] = blob
        else:
            with pytest.raises(BlobsFull, match="forget older"):
                store.put(blob)
    assert all(store.get(digest) == blob == kept[digest_of(blob)] for digest, blob in kept.items())
    for digest in kept:
        store.forget(digest)
        assert not store.has(digest)
    assert store.put(bytes(1000)) == digest_of(bytes(1000))


@network
@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 3_500_000])
async def test_fetch__brings_the_blob_and_keeps_it(size: int) -> None:
    async with pair() as (first, second):
        here: Exchange = exchange(first)
        there = exchange(second)
        blob = bytes(range(251)) * (size // 251 + 1)
        digest = here.put(blob[:size])
        assert await there.fetch(digest, size, [first.public_key]) == blob[:size]
        assert there.has(digest)
        assert there.get(digest) == blob[:size]
        here.forget(digest)
        assert not here.has(digest)
        assert await there.fetch(digest, size, []) == blob[:size], "no source is needed any more"


@network
async def test_fetch__goes_on_with_the_next_source_where_the_first_stopped() -> None:
    async with hosts(3) as (good, broken, asker):
        await asker.dial(good.addresses[0])
        await asker.dial(broken.addresses[0])
        blob = bytes(range(256)) * 12_000
        served: list[int] = []

        def stops(payload: bytes) -> bytes:
            offset = int.from_bytes(payload[32:40], "big")
            if offset:
                raise RequestRefused("disk is gone")
            return blob[:MIB]

        serve(broken, stops)
        whole = exchange(good)
        digest = whole.put(blob)
        serving = whole._serve

        async def watched(peer: bytes, payload: bytes) -> bytes:
            served.append(int.from_bytes(payload[32:40], "big"))
            return await serving(peer, payload)

        good.handle(METHOD, watched, request_bytes_max=100, response_bytes_max=2 * MIB)
        assert await exchange(asker).fetch(digest, len(blob), [broken.public_key, good.public_key]) == blob
        assert served == [MIB, 2 * MIB]


@network
async def test_fetch__wrong_content_costs_the_liar_and_the_next_source_is_asked() -> None:
    async with hosts(3) as (good, liar, asker):
        await asker.dial(good.addresses[0])
        await asker.dial(liar.addresses[0])
        serve(liar, lambda payload: bytes(1000))
        digest = exchange(good).put(b"truth" * 200)
        there = exchange(asker)
        assert await there.fetch(digest, 1000, [liar.public_key, good.public_key]) == b"truth" * 200
        assert asker.penalty(liar.public_key) > 0
        assert asker.penalty(good.public_key) == 0.0


@network
async def test_fetch__blame_falls_on_the_liar_when_pieces_of_two_were_mixed() -> None:
    async with hosts(3) as (good, liar, asker):
        await asker.dial(good.addresses[0])
        await asker.dial(liar.addresses[0])
        blob = b"x" * (2 * MIB)

        def lies_then_leaves(payload: bytes) -> bytes:
            if int.from_bytes(payload[32:40], "big"):
                raise RequestRefused("gone")
            return bytes(MIB)

        serve(liar, lies_then_leaves)
        digest = exchange(good).put(blob)
        assert await exchange(asker).fetch(digest, len(blob), [liar.public_key, good.public_key]) == blob
        assert asker.penalty(good.public_key) == 0.0


@network
async def test_fetch__nobody_has_it_says_who_was_asked() -> None:
    async with pair() as (first, second):
        exchange(first)
        with pytest.raises(FetchError, match="blob is not here"):
            await exchange(second).fetch(digest_of(b"never"), 5, [first.public_key])


@network
async def test_fetch__without_sources_or_too_large_is_refused_at_once() -> None:
    async with hosts(1, NetworkLimits(blob_bytes_max=1000)) as (host,):
        there = exchange(host)
        with pytest.raises(FetchError, match="no source"):
            await there.fetch(digest_of(b"x"), 1, [])
        with pytest.raises(FetchError, match="exceed 1000"):
            await there.fetch(digest_of(b"x"), 2**60, [host.public_key])


@network
async def test_fetch__source_that_sends_more_than_asked_is_stopped() -> None:
    async with pair() as (first, second):
        serve(first, lambda payload: bytes(2 * MIB))
        with pytest.raises(FetchError, match="exceeds 10"):
            await exchange(second).fetch(digest_of(b"x"), 10, [first.public_key])
        assert second.penalty(first.public_key) > 0


@network
async def test_fetch__two_at_once_share_one_transfer_and_survive_a_cancelled_one() -> None:
    async with pair() as (first, second):
        asked: list[bytes] = []
        gate = trio.Event()

        async def slow(peer: bytes, payload: bytes) -> bytes:
            asked.append(payload)
            await gate.wait()
            return b"blob"

        first.handle(METHOD, slow, request_bytes_max=100, response_bytes_max=100)
        there = exchange(second)
        results: list[bytes] = []

        async def fetch() -> None:
            results.append(await there.fetch(digest_of(b"blob"), 4, [first.public_key]))

        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.05):
                await fetch()  # the first to ask is cancelled
            nursery.start_soon(fetch)
            nursery.start_soon(fetch)
            await trio.sleep(0.05)
            gate.set()
        assert results == [b"blob", b"blob"]
        assert len(asked) == 1
        assert there._transfers == {}


@network
async def test_fetch__concurrent_transfers_are_bounded() -> None:
    limits = NetworkLimits(blob_transfers_max=2)
    async with pair(limits) as (first, second):
        running = [0, 0]

        async def count(peer: bytes, payload: bytes) -> bytes:
            running[0] += 1
            running[1] = max(running)
            await trio.sleep(0.02)
            running[0] -= 1
            return payload[:4]

        first.handle(METHOD, count, request_bytes_max=100, response_bytes_max=100)
        there = exchange(second)

        async def fetch(number: int) -> None:
            with pytest.raises(FetchError):
                await there.fetch(number.to_bytes(32, "big"), 4, [first.public_key])

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(fetch, number)
        assert running[1] == 2


@network
async def test_serve__members_only() -> None:
    async with pair() as (first, second):
        digest = exchange(first, admit=lambda key: False).put(b"secret")
        with pytest.raises(FetchError, match="members only"):
            await exchange(second).fetch(digest, 6, [first.public_key])


@network
async def test_serve__byte_budget_slows_a_greedy_peer_down() -> None:
    limits = NetworkLimits(blob_bytes_per_peer_per_s=MIB)
    async with pair(limits) as (first, second):
        here = exchange(first)
        digest = here.put(bytes(MIB + MIB // 2))
        started_s = trio.current_time()
        await exchange(second).fetch(digest, MIB + MIB // 2, [first.public_key])
        assert trio.current_time() - started_s > 0.3
        assert first.counters["blob.slowed"] >= 1


@network
async def test_serve__malformed_request_costs() -> None:
    async with pair() as (first, second):
        exchange(first)
        with pytest.raises(Exception, match="malformed"):
            await second.request(first.public_key, METHOD, b"short", timeout_s=5)
        assert first.penalty(second.public_key) > 0


@network
async def test_serve__disk_is_read_once_for_all_chunks_and_forgotten_blobs_are_gone() -> None:
    reads: list[bytes] = []

    class Watched(MemoryBlobs):
        async def read(self, digest: bytes) -> bytes | None:
            reads.append(digest)
            return await super().read(digest)

    async with pair() as (first, second):
        here = StreamExchange(first, Watched(64 * MIB), NetworkLimits(blob_chunk_bytes=1000))
        digest = here.put(bytes(10_000))
        there = exchange(second)
        assert len(await there.fetch(digest, 10_000, [first.public_key])) == 10_000
        assert len(reads) == 1
        here.forget(digest)
        there.forget(digest)
        assert here._serving_bytes == 0
        with pytest.raises(FetchError, match="not here"):
            await there.fetch(digest, 10_000, [first.public_key])


@network
async def test_fetch__leaves_other_requests_alive_meanwhile() -> None:
    async with pair() as (first, second):

        async def echo(peer: bytes, payload: bytes) -> bytes:
            return payload

        first.handle("echo", echo, request_bytes_max=10, response_bytes_max=10)
        digest = exchange(first).put(bytes(24 * MIB))
        there = exchange(second)
        slowest_s = 0.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.fetch, digest, 24 * MIB, [first.public_key])
            await until(lambda: second.counters.get("rpc.bytes_in", 0) > 0)
            while not there.has(digest):
                started_s = trio.current_time()
                await second.request(first.public_key, "echo", b"x", timeout_s=5)
                slowest_s = max(slowest_s, trio.current_time() - started_s)
        assert 0 < slowest_s < 1.0
