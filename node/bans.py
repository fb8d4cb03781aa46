"""Peers the operator wants nothing to do with: a file the command line writes and the running node reads.

A ban is of connections. What a banned member has signed still counts where others pass it on, or this node
would see another network than the rest.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec

from config.addresses import plain_ip
from config.datadir import DataDir
from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file

FILE_NAME: Final = "bans.json"
LOCK_NAME: Final = "bans.lock"
BANS_MAX: Final = 4_096
REASON_CHARACTERS_MAX: Final = 200
FILE_BYTES_MAX: Final = 4 << 20
KEY_BYTES: Final = 32


class BansError(ConfigError):
    """The list of banned peers cannot be read, written, is damaged or full."""


class Ban(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One peer, by its key or by its IP address."""

    who: Annotated[str, msgspec.Meta(max_length=64)]
    """64 hexadecimal digits of a key, or an IP address."""
    since_ms: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
    until_ms: Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)] | None
    """Unix time at which it ends by itself; None: it does not."""
    reason: Annotated[str, msgspec.Meta(max_length=REASON_CHARACTERS_MAX)] = ""

    @property
    def key(self) -> bytes | None:
        """The banned key; None for a banned address."""
        return key_of(self.who)

    def holds(self, now_ms: int) -> bool:
        """Whether it has not ended."""
        return self.until_ms is None or now_ms < self.until_ms


_Bans = Annotated[tuple[Ban, ...], msgspec.Meta(max_length=BANS_MAX)]


def key_of(who: str) -> bytes | None:
    """The key in 64 hexadecimal digits; None for anything else."""
    try:
        return bytes.fromhex(who) if len(who) == 2 * KEY_BYTES and who.isalnum() else None
    except ValueError:
        return None


def read_bans(directory: DataDir) -> tuple[Ban, ...]:
    """All bans, also those that have ended. Raises BansError."""
    path = directory.root / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise BansError(os_error_sentence("read", path, error)) from None
    remedy = "mend it, or remove it and ban anew with `deltamesh peers ban`"
    if len(data) > FILE_BYTES_MAX:
        raise BansError(f"{path} is over {FILE_BYTES_MAX} bytes: {remedy}")
    try:
        bans: tuple[Ban, ...] = msgspec.json.decode(data, type=_Bans)
        for ban in bans:
            if ban.key is None and plain_ip(ban.who) != ban.who:
                raise ValueError(f"'{ban.who}' is written otherwise, as {plain_ip(ban.who)}")
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise BansError(f"{path} is no list of banned peers ({error}): {remedy}") from None
    return bans


def add_ban(directory: DataDir, ban: Ban, now_ms: int) -> None:
    """Ban a peer, or change its ban; bans that have ended go. Raises BansError."""

    def with_it(bans: Iterable[Ban]) -> tuple[Ban, ...]:
        others = tuple(one for one in bans if one.who != ban.who and one.holds(now_ms))
        if len(others) >= BANS_MAX:
            raise BansError(f"{BANS_MAX} peers are banned already: lift some with `deltamesh peers unban`")
        return (*others, ban)

    _change(directory, with_it)


def lift_ban(directory: DataDir, who: str, now_ms: int) -> bool:
    """Lift the ban of a key or address; False where there is none that holds. Raises BansError."""
    found = False

    def without_it(bans: Iterable[Ban]) -> tuple[Ban, ...]:
        nonlocal found
        holding = [one for one in bans if one.holds(now_ms)]
        found = any(one.who == who for one in holding)
        return tuple(one for one in holding if one.who != who)

    _change(directory, without_it)
    return found


def _change(directory: DataDir, change: Callable[[Iterable[Ban]], tuple[Ban, ...]]) -> None:
    with _alone(directory):
        bans = change(read_bans(directory))
        path = directory.root / FILE_NAME
        try:
            replace_file(path, msgspec.json.format(msgspec.json.encode(bans)) + b"\n", mode=PRIVATE)
        except OSError as error:
            raise BansError(os_error_sentence("write", path, error)) from None


@contextmanager
def _alone(directory: DataDir) -> Iterator[None]:
    """Two commands at once would each write what the other has not read."""
    path: Path = directory.root / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise BansError(os_error_sentence("open", path, error)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
