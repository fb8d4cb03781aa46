"""Blobs by content hash: named by blake3-256, fetched from anyone, believed only when the hash agrees.

Nothing above this interface may assume streams: a second implementation over plain TLS may follow.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio
from blake3 import blake3

from node.network.errors import BlobsFull, FetchError, RequestError, RequestRefused
from node.network.host import Host
from node.network.limits import NetworkLimits
from node.network.rate import TokenBucket

METHOD = "blob.get"
DIGEST_BYTES = 32
COST_LIE = 50.0
COST_BAD_REQUEST = 20.0
_REQUEST = struct.Struct(">32sQI")
_PEERS_REMEMBERED = 4096


class BlobStore(Protocol):
    """Where blobs are kept. Digests are blake3-256 of the data. Nothing waits for a disk but `read`."""

    def get(self, digest: bytes) -> bytes | None:
        """The blob if it is in memory, or None."""

    async def read(self, digest: bytes) -> bytes | None:
        """The blob, or None. May raise what the store raises for a disk that fails."""

    def put(self, data: bytes) -> bytes:
        """Keep a blob and return its digest."""

    def has(self, digest: bytes) -> bool:
        """Whether the blob is here."""

    def forget(self, digest: bytes) -> None:
        """Drop the blob, if it is here."""


class Exchange(Protocol):
    """Moves blobs between nodes."""

    def put(self, data: bytes) -> bytes:
        """Keep a blob for others to fetch and return its digest."""

    async def fetch(self, digest: bytes, size_bytes: int, sources: Sequence[bytes]) -> bytes:
        """The blob with this digest and size, from here or from one of the peers. Raises FetchError."""

    def has(self, digest: bytes) -> bool:
        """Whether the blob is here."""

    def get(self, digest: bytes) -> bytes | None:
        """The blob if it is here."""

    def forget(self, digest: bytes) -> None:
        """Drop the blob."""


def digest_of(data: bytes) -> bytes:
    """blake3-256."""
    return blake3(data).digest()


class MemoryBlobs:
    """A blob store in memory, for tests and small nodes. Raises BlobsFull instead of forgetting by itself."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._blobs: dict[bytes, bytes] = {}

    def get(self, digest: bytes) -> bytes | None:
        """The blob, or None."""
        return self._blobs.get(digest)

    async def read(self, digest: bytes) -> bytes | None:
        """The blob, or None."""
        return self._blobs.get(digest)

    def put(self, data: bytes) -> bytes:
        """Keep a blob and return its digest."""
        digest = digest_of(data)
        if digest not in self._blobs:
            if self._bytes + len(data) > self._bytes_max:
                raise BlobsFull(len(data), self._bytes_max)
            self._blobs[digest] = bytes(data)
            self._bytes += len(data)
        return digest

    def has(self, digest: bytes) -> bool:
        """Whether the blob is here."""
        return digest in self._blobs

    def forget(self, digest: bytes) -> None:
        """Drop the blob, if it is here."""
        data = self._blobs.pop(digest, None)
        if data is not None:
            self._bytes -= len(data)


@dataclass(slots=True)
class _Transfer:
    """One fetch under way; everyone who wants the same blob waits for it."""

    done: trio.Event = field(default_factory=trio.Event)
    data: bytes | None = None
    reasons: tuple[str, ...] = ()
    sources: list[bytes] = field(default_factory=list)


class StreamExchange:
    """The exchange over a host's request streams, in chunks, so that other requests stay live."""

    def __init__(
        self,
        host: Host,
        blobs: BlobStore,
        limits: NetworkLimits | None = None,
        *,
        admit: Callable[[bytes], bool] | None = None,
    ) -> None:
        self._host = host
        self._blobs = blobs
        self._limits = limits or host.limits
        self._admit = admit
        self._transfers: dict[tuple[bytes, int], _Transfer] = {}
        self._slots = trio.CapacityLimiter(self._limits.blob_transfers_max)
        self._budgets: OrderedDict[bytes, TokenBucket] = OrderedDict()
        self._serving: OrderedDict[bytes, bytes] = OrderedDict()
        self._serving_bytes = 0
        host.handle(
            METHOD,
            self._serve,
            request_bytes_max=_REQUEST.size,
            response_bytes_max=self._limits.blob_chunk_bytes,
        )

    def put(self, data: bytes) -> bytes:
        """Keep a blob for others to fetch and return its digest."""
        return self._blobs.put(data)

    def has(self, digest: bytes) -> bool:
        """Whether the blob is here."""
        return self._blobs.has(digest)

    def get(self, digest: bytes) -> bytes | None:
        """The blob if it is here."""
        return self._blobs.get(digest)

    def forget(self, digest: bytes) -> None:
        """Drop the blob."""
        self._drop_cached(digest)
        self._blobs.forget(digest)

    # Fetching.

    async def fetch(self, digest: bytes, size_bytes: int, sources: Sequence[bytes]) -> bytes:
        """The blob, from here or from the first of `sources` that has it. Raises FetchError.

        A source that fails is left for the next one, which goes on where it stopped; what arrives is kept in
        the store. `size_bytes` is what a signed message says: nothing larger is ever allocated. Two fetches
        of one blob share one transfer.
        """
        here = await self._blobs.read(digest)
        if here is not None:
            return here
        if not 0 <= size_bytes <= self._limits.blob_bytes_max:
            raise FetchError(digest, (f"{size_bytes} bytes exceed {self._limits.blob_bytes_max}",))
        key = (digest, size_bytes)
        transfer = self._transfers.get(key)
        if transfer is None:
            transfer = self._transfers[key] = _Transfer()
            # A task of its own: when the first to ask is cancelled the others still get their blob.
            started = transfer
            self._host.spawn(lambda: self._run(digest, size_bytes, started), "fetch")
        transfer.sources.extend(source for source in sources if source not in transfer.sources)
        await transfer.done.wait()
        if transfer.data is None:
            raise FetchError(digest, transfer.reasons)
        return transfer.data

    async def _run(self, digest: bytes, size_bytes: int, transfer: _Transfer) -> None:
        reasons: list[str] = []
        try:
            async with self._slots:
                # Those who join while it runs add their sources to the same list.
                transfer.data = await self._from_sources(digest, size_bytes, transfer.sources, reasons)
            if transfer.data is not None:
                self._blobs.put(transfer.data)
        except BlobsFull as error:
            self._host.counters.add("blob.store_full")
            reasons.append(str(error))
        finally:
            transfer.reasons = tuple(reasons)
            del self._transfers[(digest, size_bytes)]
            transfer.done.set()

    async def _from_sources(
        self, digest: bytes, size_bytes: int, sources: list[bytes], reasons: list[str]
    ) -> bytes | None:
        received = bytearray()
        contributors: list[bytes] = []
        tried = 0
        retry_alone: list[bytes] = []
        while tried < len(sources) or retry_alone:
            alone = tried >= len(sources)
            source = retry_alone.pop(0) if alone else sources[tried]
            tried += not alone
            if alone:
                received.clear()
                contributors.clear()
            before = len(received)
            try:
                await self._pull(source, digest, size_bytes, received)
            except RequestError as error:
                reasons.append(f"{source.hex()[:16]}: {error.reason}")
            if len(received) > before or not size_bytes:
                contributors.append(source)
            if len(received) < size_bytes:
                continue
            data = bytes(received)
            if await trio.to_thread.run_sync(digest_of, data) == digest:
                self._host.counters.add("blob.fetched")
                return data
            reasons.append(f"{source.hex()[:16]}: the content does not have this digest")
            if len(contributors) == 1:
                self._host.penalise(source, COST_LIE, "blob content does not match its digest")
            else:
                # Pieces of several peers: one of them lied. Each is asked for the whole before anybody is
                # blamed.
                retry_alone.extend(peer for peer in contributors if peer not in retry_alone)
            received.clear()
            contributors.clear()
        return None

    async def _pull(self, source: bytes, digest: bytes, size_bytes: int, received: bytearray) -> None:
        while len(received) < size_bytes:
            want = min(self._limits.blob_chunk_bytes, size_bytes - len(received))
            chunk = await self._host.request(
                source,
                METHOD,
                _REQUEST.pack(digest, len(received), want),
                timeout_s=self._limits.blob_chunk_s,
                response_bytes_max=want,
            )
            if not chunk:
                raise RequestError(
                    source, METHOD, f"the blob ends after {len(received)} of {size_bytes} bytes"
                )
            received += chunk

    # Serving.

    async def _serve(self, peer: bytes, payload: bytes) -> bytes:
        if self._admit is not None and not self._admit(peer):
            raise RequestRefused("blobs are for members only")
        if len(payload) != _REQUEST.size:
            self._host.penalise(peer, COST_BAD_REQUEST, "malformed blob request")
            raise RequestRefused("malformed blob request")
        digest, offset, size = _REQUEST.unpack(payload)
        data = await self._load(digest)
        if data is None:
            raise RequestRefused("blob is not here")
        chunk = data[offset : offset + min(size, self._limits.blob_chunk_bytes)]
        wait_s = self._budget(peer).take(len(chunk), trio.current_time())
        if wait_s > self._limits.blob_chunk_s:
            # Nobody would wait that long. The debt stays: asking more often does not help.
            raise RequestRefused("byte budget is spent, ask again later")
        if wait_s > 0:
            self._host.counters.add("blob.slowed")
            await trio.sleep(wait_s)
        self._host.counters.add("blob.bytes_served", len(chunk))
        return chunk

    def _budget(self, peer: bytes) -> TokenBucket:
        per_s = self._limits.blob_bytes_per_peer_per_s * self._host.share(peer)
        budget = self._budgets.get(peer)
        if budget is None:
            budget = self._budgets[peer] = TokenBucket(per_s, per_s, trio.current_time())
            if len(self._budgets) > _PEERS_REMEMBERED:
                self._budgets.popitem(last=False)
        budget.resize(per_s, per_s)
        self._budgets.move_to_end(peer)
        return budget

    async def _load(self, digest: bytes) -> bytes | None:
        # A blob is asked for in chunks; without this a store on disk would read all of it for each.
        data = self._serving.get(digest)
        if data is not None:
            self._serving.move_to_end(digest)
            return data
        data = await self._blobs.read(digest)
        if data is not None and digest not in self._serving and self._cacheable(data):
            self._serving[digest] = data
            self._serving_bytes += len(data)
            while self._serving_bytes > self._limits.blob_serve_cache_bytes:
                self._drop_cached(next(iter(self._serving)))
        return data

    def _cacheable(self, data: bytes) -> bool:
        return len(data) <= self._limits.blob_serve_cache_bytes

    def _drop_cached(self, digest: bytes) -> None:
        data = self._serving.pop(digest, None)
        if data is not None:
            self._serving_bytes -= len(data)
