"""Sealed waves: ciphertexts anybody may carry before the lock gives away their key.

XChaCha20-Poly1305. The nonce is 24 bytes of the digest of key and plaintext, sent in front:
- sealing needs no randomness and gives the same bytes every time, so that a restarted dealer seals what its
  challenge committed to;
- one key may seal all ciphertexts of a wave: equal nonces mean equal plaintexts, never a reused keystream,
  which a fixed nonce would give from the second ciphertext on;
- opening recomputes it, so that no ciphertext opens to two texts under two keys, which Poly1305 alone allows.
"""

from __future__ import annotations

from typing import Final

from nacl import bindings, exceptions

from protocol.hashing import BytesLike, digest, uint

KEY_BYTES: Final = 32
SEAL_OVERHEAD_BYTES: Final = 24 + 16
"""Ciphertexts are this much longer than the data: nonce and tag."""

_NONCE_BYTES: Final = 24


class SealError(ValueError):
    """The key is no key, or does not open this ciphertext."""


def wave_key(secret: bytes, wave: int) -> bytes:
    """Return the 32-byte key of one wave; `secret` is the dealer's, unique per round and shard."""
    return digest("wave key", secret, uint(wave))


def seal(key: bytes, data: BytesLike) -> bytes:
    """Return the ciphertext of `data`, SEAL_OVERHEAD_BYTES longer; deterministic. Raises SealError."""
    _check_key(key)
    nonce = _nonce(key, data)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(data), None, nonce, key)


def unseal(key: bytes, ciphertext: BytesLike) -> bytes:
    """Return the data sealed under `key`. Raises SealError if anything was changed or the key is another."""
    _check_key(key)
    if len(ciphertext) < SEAL_OVERHEAD_BYTES:
        raise SealError(
            f"a ciphertext of {len(ciphertext)} bytes is too short: fetch it again from another peer"
        )
    nonce, sealed = bytes(ciphertext[:_NONCE_BYTES]), bytes(ciphertext[_NONCE_BYTES:])
    try:
        data = bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, None, nonce, key)
    except exceptions.CryptoError as error:
        raise SealError(_WRONG_KEY) from error
    if _nonce(key, data) != nonce:
        raise SealError(_WRONG_KEY)
    return data


_WRONG_KEY: Final = (
    "the ciphertext does not open with this key: it was changed or its dealer cheats; "
    "check it against the root in the challenge"
)


def _nonce(key: bytes, data: BytesLike) -> bytes:
    return digest("seal nonce", key, data)[:_NONCE_BYTES]


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise SealError(f"a seal's key has {KEY_BYTES} bytes, not {len(key)}: derive it with wave_key")
