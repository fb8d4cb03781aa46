"""The one hash of the network: blake3-256 with domains, and the integer stream grown from it.

Every vector in tests/vectors/hashing.json pins these bytes: changing any of them forks the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

from blake3 import blake3

DIGEST_BYTES: Final = 32
KEY_BYTES: Final = 32

BytesLike: TypeAlias = bytes | bytearray | memoryview
"""Contiguous unsigned bytes; a memoryview of another format has to be cast to "B" first."""

_T = TypeVar("_T")

# One read of the stream: 64 draws of 8 bytes, small enough that a short stream wastes nothing worth counting.
_STREAM_READ_BYTES: Final = 512
_DOMAINS_CACHED_MAX: Final = 64
# Small parts are handed over together: a call costs more than copying them.
_COPIED_BYTES_MAX: Final = 4_096


class HashingError(ValueError):
    """The caller asked for something no digest or stream can give (own mistake, never a peer's)."""


def digest(domain: str, *parts: BytesLike) -> bytes:
    """Return the 32-byte blake3 digest of `parts` in the domain "deltamesh <domain> v1".

    Each part is preceded by its length as 8 big-endian bytes, so that no two lists of parts share an input.
    """
    hasher = _domain_hasher(domain).copy()
    framed: list[BytesLike] = []
    for part in parts:
        size_bytes = part.nbytes if isinstance(part, memoryview) else len(part)
        framed.append(size_bytes.to_bytes(8, "big"))
        if size_bytes <= _COPIED_BYTES_MAX:
            framed.append(part)
        else:
            hasher.update(b"".join(framed))
            hasher.update(part)
            framed.clear()
    hasher.update(b"".join(framed))
    return hasher.digest()


def content_digest(data: BytesLike) -> bytes:
    """Return the plain blake3-256 of `data`: the content address of a blob, as `b3sum` prints it."""
    return blake3(data).digest()


def uint(value: int) -> bytes:
    """Return `value` as the 8 big-endian bytes an integer has in a digest. Raises HashingError."""
    if not 0 <= value < 1 << 64:
        raise HashingError(
            f"{value} does not fit the 8 bytes an integer has in a digest: pass 0 .. 2**64 - 1"
        )
    return value.to_bytes(8, "big")


class Xof:
    """A deterministic stream of bytes and unbiased integers: the same for the same key and domain."""

    __slots__ = ("_buffer", "_hasher", "_position", "_read_bytes")

    def __init__(self, key: bytes, domain: str) -> None:
        if len(key) != KEY_BYTES:
            raise HashingError(
                f"a stream's key has {KEY_BYTES} bytes, not {len(key)}: derive it with digest()"
            )
        self._hasher = blake3(f"deltamesh stream {domain} v1".encode(), key=key)
        self._buffer = b""
        self._position = 0  # of the next byte within the buffer
        self._read_bytes = 0  # taken from the hasher so far

    def take(self, size_bytes: int) -> bytes:
        """Return the next `size_bytes` bytes of the stream."""
        if size_bytes < 0:
            raise HashingError(f"cannot take {size_bytes} bytes of a stream: ask for zero or more")
        end = self._position + size_bytes
        if end > len(self._buffer):
            missing_bytes = end - len(self._buffer)
            read_bytes = max(_STREAM_READ_BYTES, missing_bytes)
            fresh = self._hasher.digest(length=read_bytes, seek=self._read_bytes)
            self._buffer = self._buffer[self._position :] + fresh
            self._read_bytes += read_bytes
            self._position, end = 0, size_bytes
        taken = self._buffer[self._position : end]
        self._position = end
        return taken

    def below(self, limit: int) -> int:
        """Return the next integer of range(limit), every value exactly equally likely.

        Takes as few whole bytes as hold limit - 1, keeps their top bits, big-endian, and rejects what is not
        below the limit: at most two tries in the mean. below(1) takes nothing. Errors: HashingError.
        """
        if limit < 1:
            raise HashingError(f"there is no integer in range({limit}): the limit must be at least 1")
        bits = (limit - 1).bit_length()
        size_bytes = (bits + 7) // 8
        excess_bits = size_bytes * 8 - bits
        while True:
            value = int.from_bytes(self.take(size_bytes), "big") >> excess_bits
            if value < limit:
                return value

    def shuffle(self, values: Sequence[_T]) -> list[_T]:
        """Return a new list of `values` in a uniformly drawn order (Fisher-Yates from the left)."""
        shuffled = list(values)
        for i in range(len(shuffled) - 1):
            j = i + self.below(len(shuffled) - i)
            shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
        return shuffled


def keyed_stream(key: bytes, domain: str) -> Xof:
    """Return the stream of a 32-byte key in a domain of its own. Raises HashingError on another length."""
    return Xof(key, domain)


@lru_cache(maxsize=_DOMAINS_CACHED_MAX)
def _domain_hasher(domain: str) -> blake3:
    """Return the untouched hasher of a domain: copying it is cheaper than hashing the context again."""
    return blake3(derive_key_context=f"deltamesh {domain} v1")
