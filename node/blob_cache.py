"""Blobs of the running rounds in memory, over those on disk."""

from __future__ import annotations

from collections import OrderedDict

import trio

from node.store import DiskBlobs
from protocol.hashing import content_digest

CACHE_BYTES_MAX = 16 << 20
"""The answers of a few rounds of one encoder; a validator has everything on disk as well."""


class BlobCache:
    """What the exchange serves from: newest blobs in memory, older ones from disk.

    `put` keeps a blob in memory only: the driver writes it to the store, in a thread, before it counts. The
    disk is read in a thread too: its lock is held while others wait for their bytes to be safe.
    """

    def __init__(self, disk: DiskBlobs | None, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._disk = disk
        self._bytes_max = bytes_max
        self._bytes = 0
        self._blobs: OrderedDict[bytes, bytes] = OrderedDict()

    def get(self, digest: bytes) -> bytes | None:
        """The blob if it is in memory, or None."""
        return self._blobs.get(digest)

    async def read(self, digest: bytes) -> bytes | None:
        """The blob, or None. Raises StoreError when the disk fails."""
        data = self._blobs.get(digest)
        if data is not None or self._disk is None:
            return data
        return await trio.to_thread.run_sync(self._disk.get, digest)

    def put(self, data: bytes) -> bytes:
        """Keep a blob in memory, the oldest giving way, and return its digest."""
        digest = content_digest(data)
        if digest not in self._blobs:
            self._blobs[digest] = data
            self._bytes += len(data)
            while self._bytes > self._bytes_max and len(self._blobs) > 1:
                self._bytes -= len(self._blobs.popitem(last=False)[1])
        return digest

    def has(self, digest: bytes) -> bool:
        """Whether the blob is here."""
        return digest in self._blobs or (self._disk is not None and self._disk.has(digest))

    def forget(self, digest: bytes) -> None:
        """Drop the blob from memory; what is on disk goes with the retention of rounds."""
        data = self._blobs.pop(digest, None)
        if data is not None:
            self._bytes -= len(data)
