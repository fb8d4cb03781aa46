"""The stake transfer an operator wishes: a file the command line writes and the running validator reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from config.datadir import DataDir
from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, replace_file
from protocol.cards import SignedCard
from protocol.codec import CodecError, Digest, Natural, PublicKey, Record, decode, encode
from protocol.genesis import Positive

FILE_NAME = "stake-transfer"
FILE_BYTES_MAX = 16 << 10


class StakeWishError(ConfigError):
    """The file of a wished transfer cannot be read, written, or is damaged."""


class StakeWish(Record, frozen=True):
    """A transfer that is to be made, or was made and is not yet known to count."""

    network_id: Digest
    to: PublicKey
    amount: Positive
    card: Annotated[tuple[SignedCard, ...], msgspec.Meta(max_length=1)]
    """The newcomer's; none where `to` is a validator already."""
    said_in: Annotated[tuple[Natural, ...], msgspec.Meta(max_length=1)]
    """The epoch in which it was signed last: written before the statement leaves."""


def wish_path(directory: DataDir) -> Path:
    """Where a validator's wished transfer is kept."""
    return directory.root / FILE_NAME


def read_wish(directory: DataDir, network_id: bytes) -> StakeWish | None:
    """What is wished; None where nothing is. Raises StakeWishError."""
    path = wish_path(directory)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StakeWishError(os_error_sentence("read", path, error)) from None
    try:
        wish = decode(data, StakeWish, size_bytes_max=FILE_BYTES_MAX)
    except CodecError as error:
        raise StakeWishError(
            f"{path} is damaged ({error}): remove it, look with `deltamesh epochs show` whether the stake "
            "has moved, and give the command again if not"
        ) from None
    if wish.network_id != network_id:
        raise StakeWishError(f"{path} is of another network: remove it")
    return wish


def write_wish(directory: DataDir, wish: StakeWish | None) -> None:
    """Keep a wish, or drop the one that is there. Raises StakeWishError."""
    path = wish_path(directory)
    try:
        if wish is None:
            path.unlink(missing_ok=True)
        else:
            replace_file(path, encode(wish), mode=PRIVATE)
    except OSError as error:
        raise StakeWishError(os_error_sentence("write", path, error)) from None
