"""A large answer written to a file as it arrives: whole or absent, never in memory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from node.bundle import BUNDLE_SUFFIX, MAGIC, Progress
from node.client.errors import BadAnswerError, ClientError
from protocol.codec import encode

_START = encode(MAGIC)


class Download:
    """A report's file under way."""

    def __init__(self, path: Path, on_progress: Progress | None = None) -> None:
        """Raises ClientError for another suffix than a report's file has."""
        if path.suffix != BUNDLE_SUFFIX:
            raise ClientError(
                f"{path.name} should end in {BUNDLE_SUFFIX}: name it {path.stem}{BUNDLE_SUFFIX}"
            )
        self._path = path
        self._draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        self._on_progress = on_progress
        self._file: IO[bytes] | None = None
        self._size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._draft.unlink(missing_ok=True)

    def begin(self) -> None:
        """The first chunk comes next, also after an attempt that failed. Raises ClientError."""
        self._close()
        self._size_bytes = 0
        try:
            self._file = self._draft.open("wb")
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, chunk: bytes, size_bytes: int) -> None:
        """The next chunk of an answer of `size_bytes`, 0 where that is not said. Raises ClientError."""
        assert self._file is not None
        try:
            self._file.write(chunk)
        except OSError as error:
            raise self._unwritable(error) from error
        self._size_bytes += len(chunk)
        if self._on_progress is not None:
            self._on_progress(self._size_bytes, max(size_bytes, self._size_bytes))

    def finish(self) -> int:
        """Put the file in its place; its size in bytes. Raises BadAnswerError for anything else."""
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._close()
            with self._draft.open("rb") as file:
                start = file.read(1 + len(_START))
            if start[1:] != _START:
                raise BadAnswerError(
                    "what came is no report's file: is this the API of a deltamesh validator?"
                )
            self._draft.replace(self._path)
        except OSError as error:
            raise self._unwritable(error) from error
        return self._size_bytes

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _unwritable(self, error: OSError) -> ClientError:
        return ClientError(
            f"{self._path} cannot be written ({error.strerror or error}): check the folder and the space left"
        )
