"""Small files written whole or not at all: after a crash or a full disk there is the old file or none."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600
PUBLIC = 0o644
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""How file systems say that they have none: FAT and exFAT, some of networks and of containers."""


def create_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a new file. Raises FileExistsError when the name is taken, OSError when it cannot be written."""
    with _draft(path, data, mode) as draft:
        try:
            # Unlike `rename`, `link` refuses to replace a file that another process created meanwhile.
            os.link(draft, path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _create_in_place(path, data, mode)


def replace_file(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file in place of whatever has its name. Raises OSError when it cannot be written."""
    with _draft(path, data, mode) as draft:
        draft.replace(path)


def _create_in_place(path: Path, data: bytes, mode: int) -> None:
    """A new file on a disk without links, as a memory stick for a backup: a crash can leave a part of it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def _draft(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Without this a crash of the machine may forget the new name."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
