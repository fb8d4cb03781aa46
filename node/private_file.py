"""Files that are made once, whole, for this user alone, and never replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from config.errors import ConfigError, os_error_sentence
from config.files import PRIVATE, create_file


class PrivateFileError(ConfigError):
    """A file that is missing, damaged, readable by others, too large, or in the way."""


class PrivateFileExists(PrivateFileError):  # noqa: N818 (says what it is)
    """There is a file of that name already, and it is kept as it is."""


def write_once(path: Path, data: bytes, what: str) -> None:
    """Write a new file with mode 0600, whole or not at all. Raises PrivateFileError; never overwrites."""
    try:
        create_file(path, data, mode=PRIVATE)
    except FileExistsError:
        raise PrivateFileExists(
            f"{path} already holds {what}, which is never overwritten: use it, or move it away first"
        ) from None
    except OSError as error:
        raise PrivateFileError(os_error_sentence(f"write {what}", path, error)) from None


def touch_private(path: Path) -> None:
    """Leave an empty file with mode 0600; one that is there stays. Raises PrivateFileError."""
    if path.exists():
        return
    write_once(path, b"", "a mark")


def read_private(path: Path, what: str, *, size_bytes_max: int, when_missing: str) -> bytes:
    """The bytes of a file only this user may read. Raises PrivateFileError. `when_missing`: next step."""
    try:
        # Not blocking: a pipe in place of the file would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise PrivateFileError(f"there is no {path}, which should hold {what}: {when_missing}") from None
    except OSError as error:
        raise PrivateFileError(os_error_sentence(f"read {what}", path, error)) from None
    try:
        # Before os.fdopen, which refuses a directory with a traceback of its own.
        status = os.fstat(descriptor)
        _check(path, what, status, size_bytes_max)
        chunks = bytearray()
        while chunk := os.read(descriptor, 1 << 20):
            chunks += chunk
            if len(chunks) > size_bytes_max:
                raise PrivateFileError(f"{path} grew over {size_bytes_max} bytes while it was read: check it")
        return bytes(chunks)
    except OSError as error:
        raise PrivateFileError(os_error_sentence(f"read {what}", path, error)) from None
    finally:
        os.close(descriptor)


def _check(path: Path, what: str, status: os.stat_result, size_bytes_max: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PrivateFileError(f"{path} is not a file: name the file that holds {what}")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise PrivateFileError(
            f"{path} is open to other users (mode {mode:04o}), so {what} may be known to them: "
            f"close it with `chmod 600 {path}`, or begin with a new one if others use this machine"
        )
    if status.st_size > size_bytes_max:
        raise PrivateFileError(
            f"{path} has {status.st_size} bytes, over the bound of {size_bytes_max}: restore it from a backup"
        )
