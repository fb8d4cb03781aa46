"""Ed25519 signatures over 32-byte digests, under one domain tag.

Ed25519 as libsodium checks it: a non-canonical S, a non-canonical public key and points of small order are
refused, so nobody can find a key that verifies every digest or turn one signature into a second one. A test
holds libsodium to that.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from nacl import bindings, exceptions

SEED_BYTES: Final = 32
DIGEST_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_VERIFIED_KEPT: Final = 8_192
"""Verdicts remembered, about 300 bytes each: a commit is verified when it is gossiped and again in the audit,
an attestation again in its certificate."""
_MADE_KEPT: Final = 8_192
"""Signatures made here, which need no check when they come back inside a certificate or a report."""
_KEY_PAIRS_KEPT: Final = 64
"""A node has one; a process that simulates many has a few dozen."""

_made: dict[tuple[bytes, bytes, bytes], None] = {}

# A node's identity key also signs for the transport: the tag keeps either signature useless as the other.
_TAG: Final = b"deltamesh signature v1\x00"


class SigningError(ValueError):
    """The caller's own seed or digest cannot be used for signing. Never raised because of a peer's input."""


def public_key(seed: bytes) -> bytes:
    """Return the 32-byte Ed25519 public key of a 32-byte seed. Raises SigningError on a wrong length."""
    return _key_pair(seed)[0]


def is_valid_public_key(key: bytes) -> bool:
    """Tell whether `key` is a canonical point of the prime-order subgroup: what membership admits as a node.

    Stricter than `verify`, which also takes a key with a small-order part (as cheap verifiers must).
    """
    return len(key) == PUBLIC_KEY_BYTES and bindings.crypto_core_ed25519_is_valid_point(bytes(key))


def sign(seed: bytes, digest: bytes) -> bytes:
    """Return the 64-byte signature of a 32-byte digest. Raises SigningError on a wrong length.

    Deterministic: the same seed and digest always give the same bytes.
    """
    if len(digest) != DIGEST_BYTES:
        raise SigningError(
            f"cannot sign {len(digest)} bytes: only {DIGEST_BYTES}-byte digests are signed; "
            "hash the message with protocol.hashing.digest first"
        )
    public, secret = _key_pair(seed)
    signature = bindings.crypto_sign(_TAG + digest, secret)[:SIGNATURE_BYTES]
    if len(_made) >= _MADE_KEPT:
        _made.clear()
    _made[public, bytes(digest), signature] = None
    return signature


def verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is that of `digest` under `public_key`. Garbage is False, never an error."""
    if (
        len(public_key) != PUBLIC_KEY_BYTES
        or len(digest) != DIGEST_BYTES
        or len(signature) != SIGNATURE_BYTES
    ):
        return False
    place = (bytes(public_key), bytes(digest), bytes(signature))
    return place in _made or _opens(*place)


@lru_cache(maxsize=_VERIFIED_KEPT)
def _opens(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    try:
        bindings.crypto_sign_open(signature + _TAG + digest, public_key)
    except exceptions.BadSignatureError:
        return False
    return True


@lru_cache(maxsize=_KEY_PAIRS_KEPT)
def _key_pair(seed: bytes) -> tuple[bytes, bytes]:
    if len(seed) != SEED_BYTES:
        raise SigningError(
            f"a signing seed has {SEED_BYTES} bytes, this one {len(seed)}: the key file is damaged or of "
            "another kind; create a new identity or restore it from a backup"
        )
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    return public, secret
