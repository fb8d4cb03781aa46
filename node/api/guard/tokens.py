"""Access tokens: made here, shown once, kept as hashes in a file of the data directory."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog
from blake3 import blake3

from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file
from node.private_file import PrivateFileError, read_private

FILE_NAME: Final = "api-tokens"
TOKENS_MAX: Final = 256
TOKEN_CHARS_MAX: Final = 128
"""A longer one is none, and is not hashed."""
LOOK_EVERY_S: Final = 1.0

_PREFIX: Final = "dm_"
_SECRET_BYTES: Final = 32
_WHAT: Final = "access tokens"
_FILE_BYTES_MAX: Final = 1 << 16
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LINE: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63}) ([0-9a-f]{64})")

log = structlog.get_logger(__name__)


class TokenError(ConfigError):
    """A token cannot be made or revoked, or the file of tokens is damaged."""


def read_tokens(path: Path) -> dict[str, bytes]:
    """The hash of each token by its name; empty without a file. Raises TokenError, PrivateFileError."""
    if not path.exists():
        return {}
    data = read_private(
        path, _WHAT, size_bytes_max=_FILE_BYTES_MAX, when_missing="make one with `deltamesh token new NAME`"
    )
    tokens: dict[str, bytes] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None or found[1] in tokens or len(tokens) >= TOKENS_MAX:
            raise TokenError(
                f"line {number} of {path} is no token (a name and 64 hexadecimal digits, each name once, at "
                f"most {TOKENS_MAX}): remove the line, or the file, and make tokens with "
                "`deltamesh token new NAME`"
            )
        tokens[found[1]] = bytes.fromhex(found[2])
    return tokens


def new_token(path: Path, name: str) -> str:
    """Make a token and keep its hash; it cannot be shown again. Raises TokenError, PrivateFileError."""
    if not _NAME.fullmatch(name):
        raise TokenError(f"'{name[:80]}' cannot name a token: use 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'")
    tokens = read_tokens(path)
    if name in tokens:
        raise TokenError(
            f"there is a token '{name}' already: take another name, or `deltamesh token revoke {name}` first"
        )
    if len(tokens) >= TOKENS_MAX:
        raise TokenError(
            f"there are {TOKENS_MAX} tokens, the most there can be: `deltamesh token revoke` one first"
        )
    token = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    _write(path, {**tokens, name: hash_of(token)})
    return token


def revoke_token(path: Path, name: str) -> None:
    """Forget a token; a running node refuses it a second later. Raises TokenError, PrivateFileError."""
    tokens = read_tokens(path)
    if name not in tokens:
        raise TokenError(f"there is no token '{name[:80]}': `deltamesh token list` names them")
    _write(path, {kept: hash_ for kept, hash_ in tokens.items() if kept != name})


def hash_of(token: str) -> bytes:
    """What is kept of a token: 32 bytes. It holds 256 random bits, so there is nothing to salt or stretch."""
    return blake3(b"deltamesh api token\x00" + token.encode("utf-8", "replace")).digest()


def matching(tokens: Mapping[str, bytes], token: str) -> str | None:
    """The name of a token; the time tells neither whether one matches nor which."""
    if len(token) > TOKEN_CHARS_MAX:
        return None
    asked, found = hash_of(token), None
    for name, hash_ in tokens.items():
        if hmac.compare_digest(asked, hash_):
            found = name
    return found


def _write(path: Path, tokens: Mapping[str, bytes]) -> None:
    lines = "".join(f"{name} {hash_.hex()}\n" for name, hash_ in tokens.items())
    try:
        replace_file(path, lines.encode(), mode=PRIVATE)
    except OSError as error:
        raise TokenError(os_error_sentence("write", path, error)) from None


class TokenBook:
    """The tokens of a running node: read again when the file has changed. From any thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_s = -LOOK_EVERY_S
        self._seen: tuple[int, ...] | None = None
        self._tokens: dict[str, bytes] = {}

    def name_of(self, token: str) -> str | None:
        """The name of a token that is good now, None for any other."""
        return matching(self._current(), token)

    def _current(self) -> dict[str, bytes]:
        with self._lock:
            now_s = self._clock()
            if now_s - self._looked_s < LOOK_EVERY_S:
                return self._tokens
            self._looked_s = now_s
            seen = _signature(self._path)
            if seen != self._seen:
                self._seen = seen
                self._tokens = self._read()
            return self._tokens

    def _read(self) -> dict[str, bytes]:
        try:
            return read_tokens(self._path)
        except (TokenError, PrivateFileError) as error:
            # Nobody is let in by a file that cannot be trusted.
            log.error("api.tokens_unreadable", reason=str(error))
            return {}


def _signature(path: Path) -> tuple[int, ...] | None:
    """What changes when the file is replaced, written to or closed to others."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
