"""Files that only this user may read, written so that a power cut leaves the old or the new."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from node.signer.errors import SignerError, SignerLocked

PRIVATE_MODE = 0o600


def create_private(path: Path) -> None:
    """Make sure the file exists and is closed to other users. Raises `SignerError` when it is not."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE))
    check_private(path)


def check_private(path: Path) -> None:
    """Refuse a file that others may read or write: it decides what this key may sign."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SignerError(
            f"{path} is open to other users (mode {mode:04o}): "
            f"close it with `chmod 600 {path}`, then start again"
        )


def write_durably(path: Path, data: bytes) -> None:
    """Write and fsync a new file; `replace_durably` puts it in its place."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), PRIVATE_MODE)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(source: Path, target: Path) -> None:
    """Rename, and fsync the folder so that the rename outlives a power cut."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def lock_exclusively(path: Path) -> int:
    """The descriptor that holds the lock, until it is closed or the process ends. Raises `SignerLocked`.

    A file of its own: a database put back from a copy is another file, and would carry no lock.
    """
    create_private(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SignerLocked(
            f"another process signs with {path.with_suffix('')}: stop it first, two must never share a key"
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
