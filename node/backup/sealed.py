"""A file sealed with a passphrase: Argon2id makes the key, XChaCha20-Poly1305 keeps and authenticates.

The header is readable by anyone and changed by nobody: its exact bytes are the associated data of the cipher.
What it asks for is bounded before any of it is done, for the file may come from anywhere.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from nacl import bindings, exceptions
from nacl.pwhash import argon2id

from config.errors import os_error_sentence
from node.backup.errors import BackupError
from node.private_file import write_once
from protocol.codec import CodecError, Digest, Natural, PublicKey, Record, decode, encode

VERSION: Final = 1
FILE_BYTES_MAX: Final = 96 << 20
"""A pool has at most 64 MiB, a genesis file 16 MiB."""
PASSPHRASE_BYTES_MAX: Final = 1_024

PASSES_MAX: Final = 16
MEMORY_BYTES_MAX: Final = 1 << 30
"""The most a file may ask of whoever opens it: a gibibyte, some ten seconds."""
_MEMORY_BYTES_MIN: Final = argon2id.MEMLIMIT_MIN

_MAGIC: Final = "deltamesh backup"
_KEY_BYTES: Final = bindings.crypto_aead_xchacha20poly1305_ietf_KEYBYTES
_NONCE_BYTES: Final = bindings.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_SALT_BYTES: Final = argon2id.SALTBYTES
_HEADER_BYTES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True)
class Cost:
    """What deriving the key takes: passes over so many bytes of memory."""

    passes: int = 3
    memory_bytes: int = 256 << 20


class Header(Record, frozen=True):
    """What everybody may read of a backup."""

    magic: Literal["deltamesh backup"]
    version: Natural
    key_derivation: Literal["argon2id"]
    passes: Annotated[int, msgspec.Meta(ge=1, le=PASSES_MAX)]
    memory_bytes: Annotated[int, msgspec.Meta(ge=_MEMORY_BYTES_MIN, le=MEMORY_BYTES_MAX)]
    salt: Annotated[bytes, msgspec.Meta(min_length=_SALT_BYTES, max_length=_SALT_BYTES)]
    cipher: Literal["xchacha20-poly1305"]
    nonce: Annotated[bytes, msgspec.Meta(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)]
    public_key: PublicKey
    """Whose key is inside."""
    network_id: Digest
    """Zeros where it had joined no network."""
    made_ms: Natural
    """Unix time."""


class _File(Record, frozen=True):
    header: bytes
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A backup as it lies in a file, its header read and within the bounds, its content still closed."""

    header: Header
    header_bytes: bytes
    sealed: bytes


def seal(
    content: bytes, passphrase: bytes, *, public_key: bytes, network_id: bytes, made_ms: int, cost: Cost
) -> bytes:
    """The file's bytes. Raises BackupError for a passphrase that is empty or too long."""
    header = Header(
        magic=_MAGIC,
        version=VERSION,
        key_derivation="argon2id",
        passes=cost.passes,
        memory_bytes=cost.memory_bytes,
        salt=secrets.token_bytes(_SALT_BYTES),
        cipher="xchacha20-poly1305",
        nonce=secrets.token_bytes(_NONCE_BYTES),
        public_key=public_key,
        network_id=network_id,
        made_ms=made_ms,
    )
    header_bytes = encode(header)
    sealed = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        content, header_bytes, header.nonce, _key(header, passphrase)
    )
    data = encode(_File(header_bytes, sealed))
    if len(data) > FILE_BYTES_MAX:
        raise BackupError(
            f"the backup would take {len(data)} bytes, over the bound of {FILE_BYTES_MAX}: "
            "check the size of the files in the data directory"
        )
    return data


def read_sealed(data: bytes, source: str) -> Sealed:
    """A backup's header, checked, before any work is done for it. Raises BackupError naming `source`."""
    try:
        file = decode(data, _File, size_bytes_max=FILE_BYTES_MAX)
        version = _version(file.header)
        if version != VERSION:
            raise BackupError(
                f"{source} is a backup of version {version}, this software reads {VERSION}: "
                "install the version that wrote it"
            )
        header = decode(file.header, Header, size_bytes_max=_HEADER_BYTES_MAX)
    except CodecError:
        raise BackupError(
            f"{source} is no backup of a key, or is damaged: name a file that "
            "`deltamesh keys backup` wrote, or another copy of it"
        ) from None
    return Sealed(header, file.header, file.sealed)


def open_sealed(backup: Sealed, passphrase: bytes) -> bytes:
    """The content. Raises BackupError when the passphrase is another one or a byte was changed."""
    try:
        return bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            backup.sealed, backup.header_bytes, backup.header.nonce, _key(backup.header, passphrase)
        )
    except (exceptions.CryptoError, ValueError):
        raise BackupError(
            "the passphrase does not open the backup, or the file was changed: type the passphrase it was "
            "made with, or take another copy of the file"
        ) from None


def load_sealed(path: Path) -> Sealed:
    """The backup in a file. Raises BackupError."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise BackupError(os_error_sentence("read the backup", path, error)) from None
    return read_sealed(data, str(path))


def save_sealed(path: Path, data: bytes) -> None:
    """A new file with mode 0600. Raises PrivateFileError; never overwrites."""
    write_once(path, data, "a file")


def _version(header: bytes) -> int:
    """The version of a header of any version: its second field."""
    try:
        fields = msgspec.msgpack.decode(header[:_HEADER_BYTES_MAX], type=list[msgspec.Raw])
        magic, version = (msgspec.msgpack.decode(fields[n]) for n in (0, 1))
    except (msgspec.DecodeError, IndexError, RecursionError, UnicodeDecodeError) as error:
        raise CodecError(f"no header: {error}") from None
    if magic != _MAGIC or not isinstance(version, int):
        raise CodecError("another kind of file")
    return version


def _key(header: Header, passphrase: bytes) -> bytes:
    if not 1 <= len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise BackupError(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes, this one {len(passphrase)}")
    try:
        return argon2id.kdf(
            _KEY_BYTES, passphrase, header.salt, opslimit=header.passes, memlimit=header.memory_bytes
        )
    except (exceptions.RuntimeError, MemoryError):
        raise BackupError(
            f"there is no memory for the passphrase's {header.memory_bytes >> 20} MiB: "
            "do it on a machine that has them"
        ) from None
