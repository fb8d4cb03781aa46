"""Bulk data on disk by content hash: `<dir>/<first byte>/<digest>`, both in hex."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from node.store.database import Access
from node.store.errors import BlobStoreFull, StoreReadOnly, translated
from protocol.hashing import DIGEST_BYTES, content_digest

_PARTIAL = ".partial"


class DiskBlobs:
    """Bounded, content-addressed, crash-safe; thread-safe by one lock. Owns its directory.

    A write is complete or absent: partial file, fsync, rename, fsync of the folder. A read verifies the hash.
    """

    def __init__(self, directory: Path, bytes_max: int, access: Access = Access.READ_WRITE) -> None:
        """Open or create the directory; a writer sweeps what a crash left half-written."""
        self._directory = directory
        self._bytes_max = bytes_max
        self._access = access
        self._lock = threading.Lock()
        with translated(directory):
            if access is Access.READ_WRITE:
                directory.mkdir(parents=True, exist_ok=True)
                for leftover in directory.glob(f"*/*{_PARTIAL}"):
                    leftover.unlink()
            self._size_bytes = sum(path.stat().st_size for path in self._paths())

    @property
    def size_bytes(self) -> int:
        """The sum of all blobs."""
        return self._size_bytes

    def has(self, digest: bytes) -> bool:
        """Whether a blob is there; only `get` tells whether it is sound."""
        with translated(self._directory):
            return self._path(digest).is_file()

    def get(self, digest: bytes) -> bytes | None:
        """The blob, or None. One whose bytes do not have this hash is dropped and counts as missing."""
        path = self._path(digest)
        with translated(path), self._lock:
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                return None
            if content_digest(data) == digest:
                return data
            if self._access is Access.READ_WRITE:
                self._remove(path)
            return None

    def put(self, data: bytes) -> bytes:
        """Keep a blob and return its blake3-256 digest. Raises `BlobStoreFull`, `StoreError`."""
        digest = content_digest(data)
        path = self._path(digest)
        with translated(path), self._lock:
            self._check_writable()
            if path.is_file():
                if path.read_bytes() == data:
                    return digest
                self._remove(path)
            if self._size_bytes + len(data) > self._bytes_max:
                raise BlobStoreFull(
                    f"cannot keep {len(data)} bytes in {self._directory}: {self._size_bytes} of "
                    f"{self._bytes_max} bytes are taken; keep fewer rounds or raise the bound"
                )
            self._write(path, data)
            self._size_bytes += len(data)
        return digest

    def forget(self, digest: bytes) -> None:
        """Remove a blob, if it is there."""
        path = self._path(digest)
        with translated(path), self._lock:
            self._check_writable()
            self._remove(path)

    def prune(self, keep: set[bytes]) -> int:
        """Remove every blob that is not to be kept; return how many went."""
        removed = 0
        with translated(self._directory), self._lock:
            self._check_writable()
            for path in self._paths():
                if bytes.fromhex(path.name) not in keep:
                    self._remove(path)
                    removed += 1
        return removed

    def forget_all(self, digests: Iterable[bytes]) -> int:
        """Remove these blobs; return how many of them were there."""
        removed = 0
        with translated(self._directory), self._lock:
            self._check_writable()
            for digest in digests:
                removed += self._remove(self._path(digest))
        return removed

    def _path(self, digest: bytes) -> Path:
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
        name = digest.hex()
        return self._directory / name[:2] / name

    def _paths(self) -> Iterator[Path]:
        for folder in sorted(self._directory.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(folder.iterdir()):
                if len(path.name) == 2 * DIGEST_BYTES and path.name.startswith(folder.name):
                    yield path

    def _remove(self, path: Path) -> bool:
        """Remove a file; whether it was there."""
        try:
            size_bytes = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return False
        self._size_bytes -= size_bytes
        return True

    def _check_writable(self) -> None:
        if self._access is Access.READ_ONLY:
            raise StoreReadOnly(f"{self._directory} was opened to read; open the store to write first")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(path.name + _PARTIAL)
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
