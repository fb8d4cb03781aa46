"""Canonical msgpack: one byte string for one value, and nothing else is accepted.

The typed decoder (msgspec) stops at the first byte that does not fit the expected type, so nested or huge
containers cost nothing; what decodes but does not re-encode to the same bytes is refused, which rules out
duplicate keys, non-shortest integers, ext types and trailing bytes in one rule.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""A non-negative integer that JSON and every language keeps exactly."""

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[object]] = {}  # one per message type: bounded by the code


class CodecError(ValueError):
    """The bytes are not the canonical encoding of the expected message."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Base of everything that crosses a wire: immutable, positional, no optional extras."""


def encode(value: object) -> bytes:
    """The canonical encoding of a record."""
    return _encoder.encode(value)


def decode(data: bytes, kind: type[T], *, size_bytes_max: int) -> T:
    """The record that `data` canonically encodes.

    Raises CodecError when `data` is larger than the limit, has the wrong shape, or is not canonical.
    """
    if len(data) > size_bytes_max:
        raise CodecError(f"{kind.__name__} of {len(data)} bytes exceeds the limit of {size_bytes_max}")
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        value = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(f"not a {kind.__name__}: {error}") from None
    if _encoder.encode(value) != data:
        raise CodecError(f"{kind.__name__} is not canonically encoded")
    assert isinstance(value, kind)
    return value
