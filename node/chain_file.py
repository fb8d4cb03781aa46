"""The seed of a validator's hash chain of mask secrets: 32 random bytes, private, never replaced."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from node.private_file import PrivateFileError, read_private, write_once
from protocol.hashing import DIGEST_BYTES

CHAIN_FILE_NAME = "chain.seed"
_WHAT = "the seed of the hash chain"
_FILE_BYTES_MAX = 2 * DIGEST_BYTES + 1


class ChainFileError(PrivateFileError):
    """The file does not hold a seed."""


def create_chain_seed(path: Path) -> bytes:
    """A new 32-byte seed, written to `path` with mode 0600. Raises PrivateFileError; never overwrites."""
    seed = secrets.token_bytes(DIGEST_BYTES)
    write_once(path, seed.hex().encode() + b"\n", _WHAT)
    return seed


def load_chain_seed(path: Path) -> bytes:
    """The 32-byte seed in `path`. Raises PrivateFileError when missing, damaged or open to other users."""
    text = read_private(
        path,
        _WHAT,
        size_bytes_max=_FILE_BYTES_MAX,
        when_missing="make one with `deltamesh init --role validator`, or restore it from a backup",
    )
    if not re.fullmatch(rb"[0-9a-f]{%d}\n?" % (2 * DIGEST_BYTES), text):
        raise ChainFileError(
            f"{path} does not hold {_WHAT} (one line of {2 * DIGEST_BYTES} hexadecimal digits): restore it "
            "from a backup; a network knows the old chain's tip, so a new one needs a new genesis"
        )
    return bytes.fromhex(text.decode())
