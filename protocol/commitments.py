"""Commits and reveals: what an encoder binds itself to in each wave, and the blob that opens it.

Reveal blob: three 32-byte salts, then one little-endian float32 array [views, 1024]: the views of wave 1, 2
and 3 one after the other, in the order dealt. The salts take 96 bytes, so the array is as aligned as the blob
up to 32 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from protocol.hashing import DIGEST_BYTES, BytesLike, digest, uint

WAVES: Final = (1, 2, 3)
SALT_BYTES: Final = 32
ANSWER_BYTES: Final = 4096
"""One embedding: 1024 little-endian float32."""
SALTS_BYTES: Final = SALT_BYTES * len(WAVES)

ViewCounts: TypeAlias = tuple[int, int, int]
"""How many views each wave dealt."""


class RevealError(ValueError):
    """A blob, salt, digest or answer without the size its place asks for."""


@dataclass(frozen=True, slots=True)
class RevealParts:
    """A reveal blob cut at its seams without copying: every member looks into the blob."""

    salts: tuple[memoryview, memoryview, memoryview]
    answers: tuple[memoryview, memoryview, memoryview]
    """Per wave, [views of the wave, 1024] little-endian float32 as bytes."""
    array: memoryview
    """All waves together, [views, 1024] little-endian float32 as bytes."""


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
    """Return what an encoder signs in a wave: the digest of its answers, bound to its key, time and place.

    `lock` is the digest of the message that released the wave's key: the challenge for wave 1, for the
    others the lock of the wave before. Raises RevealError for a salt, network, encoder
    or lock that is not 32 bytes.
    """
    for name, part in (("salt", salt), ("network", network), ("encoder", encoder), ("lock", lock)):
        if len(part) != DIGEST_BYTES:
            raise RevealError(f"the {name} of a commitment has {DIGEST_BYTES} bytes, not {len(part)}")
    place = (uint(epoch), uint(round), uint(shard), uint(wave))
    return digest("commitment", network, encoder, *place, lock, salt, answers)


def reveal_size_bytes(views: ViewCounts) -> int:
    """Return the exact size of a reveal blob of so many views per wave. Raises RevealError below zero."""
    if len(views) != len(WAVES) or min(views) < 0:
        raise RevealError(f"views per wave are {len(WAVES)} counts of zero or more, not {views}")
    return SALTS_BYTES + ANSWER_BYTES * sum(views)


def pack_reveal(salts: Sequence[BytesLike], answers: Sequence[BytesLike]) -> bytes:
    """Return the reveal blob of three salts and the contiguous answers of three waves. Raises RevealError."""
    if len(salts) != len(WAVES) or len(answers) != len(WAVES):
        raise RevealError(f"a reveal has {len(WAVES)} salts and waves, not {len(salts)} and {len(answers)}")
    for wave, salt, wave_answers in zip(WAVES, salts, answers, strict=True):
        if len(salt) != SALT_BYTES:
            raise RevealError(f"the salt of wave {wave} has {SALT_BYTES} bytes, not {len(salt)}")
        if len(wave_answers) % ANSWER_BYTES:
            raise RevealError(
                f"wave {wave} has {len(wave_answers)} bytes of answers, no multiple of {ANSWER_BYTES}: "
                "pass contiguous float32 [views, 1024]"
            )
    return b"".join((*salts, *answers))


def split_reveal(blob: BytesLike, views: ViewCounts) -> RevealParts:
    """Return the parts of a reveal blob as read-only views into it. Raises RevealError on a wrong size."""
    size_bytes = reveal_size_bytes(views)
    if len(blob) != size_bytes:
        raise RevealError(
            f"a reveal of {views} views has {size_bytes} bytes, this one {len(blob)}: "
            "fetch it again by its digest"
        )
    whole = memoryview(blob).toreadonly()
    array = whole[SALTS_BYTES:]
    first, second = ANSWER_BYTES * views[0], ANSWER_BYTES * (views[0] + views[1])
    salts = whole[:SALT_BYTES], whole[SALT_BYTES : 2 * SALT_BYTES], whole[2 * SALT_BYTES : SALTS_BYTES]
    return RevealParts(salts=salts, answers=(array[:first], array[first:second], array[second:]), array=array)


def check_reveal(
    blob: BytesLike,
    views: ViewCounts,
    commitments: Sequence[bytes],
    *,
    network: bytes,
    encoder: bytes,
    epoch: int,
    round: int,
    shard: int,
    locks: Sequence[bytes],
) -> int | None:
    """Return the first wave (1, 2 or 3) whose commitment the blob contradicts, None when it keeps all three.

    `commitments` and `locks` are one per wave, as locked. Raises RevealError when the blob has another size.
    """
    if len(commitments) != len(WAVES) or len(locks) != len(WAVES):
        raise RevealError(
            f"a reveal is checked against {len(WAVES)} commitments and locks, "
            f"not {len(commitments)} and {len(locks)}"
        )
    parts = split_reveal(blob, views)
    for wave, salt, answers, promised, lock in zip(
        WAVES, parts.salts, parts.answers, commitments, locks, strict=True
    ):
        opened = commitment(
            salt,
            answers,
            network=network,
            encoder=encoder,
            epoch=epoch,
            round=round,
            shard=shard,
            wave=wave,
            lock=lock,
        )
        if opened != promised:
            return wave
    return None
