"""The folder beside a gallery: everything in it follows from the gallery, and may be deleted at any time."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from blake3 import blake3

from node.gallery.errors import GalleryStorageError, translated
from node.gallery.limits import CACHED_SPACES

SUFFIX: Final = ".cache"
LOCK: Final = "lock"
STATE: Final = ".state"
_CHECK_BYTES: Final = 32
_STATE_BYTES_MAX: Final = 256 << 20

_State = TypeVar("_State", bound=msgspec.Struct)


class Cache:
    """A folder of files named by the space they belong to. One process builds at a time, others may read."""

    def __init__(self, gallery: Path) -> None:
        self.folder = gallery.with_name(gallery.name + SUFFIX)
        self._temporary = False
        # For who asks often and keeps the cache. Each names what it was made of.
        self.transforms: dict[bytes, Any] = {}
        """By space, CACHED_SPACES at most."""
        self.index: tuple[object, Any] | None = None
        self.kinds: tuple[object, Any] | None = None
        self.signs: tuple[bytes, Any] | None = None

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold the folder while something in it is looked up or built anew. Raises GalleryStorageError.

        Where the gallery's own folder cannot be written, a temporary one takes its place until `close`.
        """
        descriptor = self._lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Remove the folder if it was only a temporary one; what is mapped stays readable."""
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, space: bytes, suffix: str) -> Path:
        """A file of a space, by the space's fingerprint."""
        return self.folder / f"{space.hex()[:16]}{suffix}"

    def replace(self, path: Path, data: bytes) -> None:
        """Write a file so that it is whole or the old one. Raises OSError."""
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(data)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def write_state(self, path: Path, state: msgspec.Struct) -> None:
        """Write what a file beside it holds, with a check sum. Raises OSError."""
        data = msgspec.msgpack.encode(state)
        self.replace(path, blake3(data).digest() + data)

    def read_state(self, path: Path, kind: type[_State]) -> _State | None:
        """What `write_state` wrote; None where there is nothing, or something else."""
        try:
            if path.stat().st_size > _STATE_BYTES_MAX:
                return None
            data = path.read_bytes()
            if blake3(data[_CHECK_BYTES:]).digest() != data[:_CHECK_BYTES]:
                return None
            return msgspec.msgpack.decode(data[_CHECK_BYTES:], type=kind)
        except (OSError, msgspec.DecodeError):
            return None

    def keep(self, space: bytes) -> None:
        """Mark a space as used now, and drop the files of those used longest ago, but CACHED_SPACES."""
        used: dict[str, float] = {}
        for path in self.folder.iterdir():
            name = path.name.partition(".")[0]
            if name and path.name != LOCK:
                used[name] = max(used.get(name, 0.0), path.stat().st_mtime)
        used[space.hex()[:16]] = float("inf")
        stale = sorted(used, key=lambda name: -used[name])[CACHED_SPACES:]
        for path in self.folder.iterdir():
            if path.name.partition(".")[0] in stale:
                path.unlink(missing_ok=True)

    def _lock(self) -> int:
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            return os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if self._temporary or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise GalleryStorageError(
                    f"cannot write {self.folder} ({error.strerror}): check its permissions and the free space"
                ) from error
        with translated(self.folder):
            self.folder, self._temporary = Path(tempfile.mkdtemp(prefix="deltamesh-gallery-")), True
            return os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
