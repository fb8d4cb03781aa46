"""The identity of a node: one Ed25519 key, which is its libp2p identity and its signature."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from node.private_file import PrivateFileError, read_private, write_once
from protocol.signatures import SEED_BYTES, public_key

_WHAT = "the node's key"
_FILE_BYTES_MAX = 1024
"""Far above a key's 65 bytes: a longer file is told that it is no key, not that it is too long."""
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# libp2p peer id of an Ed25519 key: identity multihash (0x00, length 36) of the protobuf {type: 1, data: key}.
_PEER_ID_PREFIX = bytes.fromhex("0024" + "08011220")


class KeyFileError(PrivateFileError):
    """The file does not hold a key."""


@dataclass(frozen=True)
class NodeKey:
    """A node's key. `seed` is the secret: 32 bytes, never shown in a representation."""

    seed: bytes = field(repr=False)

    @cached_property
    def public_key(self) -> bytes:
        """32 bytes: the name of the node in every message."""
        return public_key(self.seed)

    @cached_property
    def peer_id(self) -> str:
        """The node's name in libp2p, base58: 12D3KooW..."""
        return peer_id(self.public_key)

    @cached_property
    def fingerprint(self) -> str:
        """Short name for tables and logs: the first 4 bytes of the public key, hex."""
        return fingerprint(self.public_key)


def fingerprint(public_key: bytes) -> str:
    """Short name of a public key for tables and logs. Not unique: never decide anything by it."""
    return public_key[:4].hex()


def peer_id(public_key: bytes) -> str:
    """The libp2p peer id of a 32-byte Ed25519 public key, base58."""
    if len(public_key) != 32:
        raise ValueError(f"an Ed25519 public key has 32 bytes, this one {len(public_key)}")
    data = _PEER_ID_PREFIX + public_key
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    # Base58 writes a leading zero byte as 1; the identity multihash begins with exactly one.
    return "1" + digits


def create_key(path: Path) -> NodeKey:
    """A new key, written to `path` with mode 0600. Raises PrivateFileError; never overwrites a file."""
    key = NodeKey(secrets.token_bytes(SEED_BYTES))
    write_key(path, key)
    return key


def write_key(path: Path, key: NodeKey) -> None:
    """Write a key to `path` with mode 0600. Raises PrivateFileError; never overwrites a file."""
    write_once(path, key.seed.hex().encode() + b"\n", _WHAT)


def load_key(path: Path) -> NodeKey:
    """The key in `path`. Raises PrivateFileError when it is missing, damaged, or open to other users."""
    text = read_private(
        path,
        _WHAT,
        size_bytes_max=_FILE_BYTES_MAX,
        when_missing="create one with `deltamesh keys new`",
    )
    if not re.fullmatch(rb"[0-9a-f]{%d}\n?" % (2 * SEED_BYTES), text):
        raise KeyFileError(
            f"{path} is not a key file (one line of {2 * SEED_BYTES} hexadecimal digits): restore it from a "
            "backup, or move it away and create another with `deltamesh keys new`"
        )
    return NodeKey(bytes.fromhex(text.decode()))
