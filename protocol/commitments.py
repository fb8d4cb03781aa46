"""Commitments: what an encoder binds itself to in each wave."""

from __future__ import annotations

from typing import Final

from protocol.hashing import DIGEST_BYTES, BytesLike, digest, uint

ANSWER_BYTES: Final = 4096
"""One embedding: 1024 little-endian float32."""


class CommitmentError(ValueError):
    """A salt, network, encoder or lock without the size its place asks for (own mistake, never a peer's)."""


def commitment(
    salt: BytesLike,
    answers: BytesLike,
    *,
    network: bytes,
    encoder: bytes,
    epoch: int,
    round: int,
    shard: int,
    wave: int,
    lock: bytes,
) -> bytes:
    """Return what an encoder signs in a wave: its answers, or their digest, bound to its key, time and place.

    `lock` is the digest of the message that released the wave's key: the challenge for wave 1, for the
    others the lock of the wave before. Raises CommitmentError for a salt, network, encoder or lock that
    is not 32 bytes.
    """
    for name, part in (("salt", salt), ("network", network), ("encoder", encoder), ("lock", lock)):
        if len(part) != DIGEST_BYTES:
            raise CommitmentError(f"the {name} of a commitment has {DIGEST_BYTES} bytes, not {len(part)}")
    place = (uint(epoch), uint(round), uint(shard), uint(wave))
    return digest("commitment", network, encoder, *place, lock, salt, answers)
