"""Words people can write down: a generated passphrase, and a key's seed as 24 words (BIP 39, English)."""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from node.backup.errors import BackupError
from protocol.signatures import SEED_BYTES

PASSPHRASE_WORDS: Final = 8
"""Of 2,048 each: 88 bits, beside what Argon2id costs at every guess."""
SEED_WORDS: Final = 24


@cache
def _words() -> Mnemonic:
    return Mnemonic("english")


def new_passphrase() -> str:
    """Eight random words."""
    return " ".join(secrets.choice(_words().wordlist) for _ in range(PASSPHRASE_WORDS))


def seed_to_words(seed: bytes) -> str:
    """The 24 words of a 32-byte seed; the last carries a checksum."""
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
    return _words().to_mnemonic(seed)


def seed_from_words(text: str) -> bytes:
    """The 32-byte seed. Raises BackupError naming the place of the mistake, never a word that is right."""
    words = text.lower().split()
    if len(words) != SEED_WORDS:
        raise BackupError(f"a key is written in {SEED_WORDS} words, here are {len(words)}: count them again")
    known = set(_words().wordlist)
    for place, word in enumerate(words, 1):
        if word not in known:
            raise BackupError(
                f"word {place} is not in the list of words a key is written in: read it again "
                "(the first four letters tell all of them apart)"
            )
    try:
        return bytes(_words().to_entropy(words))
    except ValueError:
        raise BackupError(
            "the words do not belong together (their checksum is wrong): compare each with what is on paper, "
            "and their order"
        ) from None
