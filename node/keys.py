"""The identity of a node: one Ed25519 key, which is its libp2p identity and its signature."""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, create_file
from protocol.signatures import SEED_BYTES, public_key

_KEY_FILE_BYTES = 2 * SEED_BYTES + 1
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
# libp2p peer id of an Ed25519 key: identity multihash (0x00, length 36) of the protobuf {type: 1, data: key}.
_PEER_ID_PREFIX = bytes.fromhex("0024" + "08011220")


class KeyFileError(ConfigError):
    """A key file that is missing, damaged, readable by others, or in the way."""


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
    """A new key, written to `path` with mode 0600. Raises KeyFileError; never overwrites a file."""
    key = NodeKey(secrets.token_bytes(SEED_BYTES))
    try:
        create_file(path, key.seed.hex().encode() + b"\n", mode=PRIVATE)
    except FileExistsError:
        raise KeyFileError(
            f"{path} already holds a key, and a key is never overwritten: use it, or move it away first"
        ) from None
    except OSError as error:
        raise KeyFileError(os_error_sentence("write the key", path, error)) from None
    return key


def load_key(path: Path) -> NodeKey:
    """The key in `path`. Raises KeyFileError when it is missing, damaged, or open to other users."""
    try:
        # Not blocking: a pipe in place of the file would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyFileError(f"there is no key at {path}: create one with `deltamesh keys new`") from None
    except OSError as error:
        raise KeyFileError(os_error_sentence("read the key", path, error)) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} is not a file: name the key file itself")
        mode = stat.S_IMODE(status.st_mode)
        if mode & 0o077:
            raise KeyFileError(
                f"{path} is open to other users (mode {mode:04o}), so its key may be known to them: "
                f"close it with `chmod 600 {path}`, or make a new key if others use this machine"
            )
        text = os.read(descriptor, _KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(os_error_sentence("read the key", path, error)) from None
    finally:
        os.close(descriptor)
    if not re.fullmatch(rb"[0-9a-f]{%d}\n?" % (2 * SEED_BYTES), text):
        raise KeyFileError(
            f"{path} is not a key file (one line of {2 * SEED_BYTES} hexadecimal digits): restore it from a "
            "backup, or move it away and create another with `deltamesh keys new`"
        )
    return NodeKey(bytes.fromhex(text.decode()))
