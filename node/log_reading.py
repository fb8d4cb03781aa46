"""Reading a node's log back: the newest entries that fit a choice, and those that come, over rotated files.

Files are hostile input like any other: a line is bounded, and what is no entry is told as one of its own.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from config.errors import ConfigError, os_error_sentence
from node.logs import FILE_NAME, FILES_KEPT

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
LINE_BYTES_MAX: Final = 1 << 20
CHUNK_BYTES: Final = 1 << 20
UNREADABLE: Final = "log.unreadable"
"""The event of a line that is no entry; its bytes are under `line`."""
LINE_SHOWN_BYTES: Final = 200
PEER_FIELDS: Final = ("peer", "source", "dealer", "encoder", "validator", "signer", "offender", "key")

Entry = dict[str, Any]


class LogReadError(ConfigError):
    """The log cannot be read."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which entries are wanted; what is None or empty asks for nothing."""

    level: str = "debug"
    """This one and graver ones."""
    event: str = ""
    """A pattern of the shell, as `round.*`."""
    round: int | None = None
    peer: str = ""
    """The beginning of a key in hexadecimal; entries hold its first digits only."""
    since_ms: int | None = None

    def takes(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry is wanted."""
        if _gravity(entry.get("level")) < LEVELS.index(self.level):
            return False
        if self.event and not fnmatchcase(str(entry.get("event", "")), self.event):
            return False
        if self.round is not None and entry.get("round") != self.round:
            return False
        if self.peer and not any(_is_key(entry.get(name), self.peer) for name in PEER_FIELDS):
            return False
        if self.since_ms is None:
            return True
        at_ms = time_of(entry)
        return at_ms is not None and at_ms >= self.since_ms


def time_of(entry: Mapping[str, Any]) -> int | None:
    """When an entry was written, Unix milliseconds; None where it does not say, or no year has the time."""
    try:
        at = datetime.fromisoformat(str(entry.get("timestamp", "")))
        return int((at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)
    except (ValueError, OverflowError):
        return None


def entry_of(line: bytes) -> Entry:
    """The entry in a line; one that says so where there is none."""
    try:
        found = msgspec.json.decode(line)
        if isinstance(found, dict):
            return found
    except (msgspec.DecodeError, RecursionError):
        pass
    return {"event": UNREADABLE, "level": "warning", "line": line[:LINE_SHOWN_BYTES].decode(errors="replace")}


class LogReader:
    """One node's log: `newest`, then `more` as often as wanted, which goes on where the call before ended."""

    def __init__(self, directory: Path) -> None:
        # Oldest first, as they were written.
        older = [directory / f"{FILE_NAME}.{number}" for number in range(FILES_KEPT, 0, -1)]
        self._paths = [*older, directory / FILE_NAME]
        self._file: BinaryIO | None = None
        self._rest = b""

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def newest(self, count: int, choice: Choice) -> list[Entry]:
        """The last `count` entries that fit, oldest first. Raises LogReadError."""
        self.close()
        rest = b""
        found: deque[Entry] = deque()
        # From the newest file back, so that the older ones are mostly never opened.
        for path in reversed(self._paths):
            file = _opened(path)
            if file is None:
                continue
            wanted = count - len(found)
            last: deque[Entry] = deque(maxlen=wanted)
            self._rest = b""
            last.extend(entry for entry in self._entries(file) if choice.takes(entry))
            found.extendleft(reversed(last))
            if self._file is None:
                self._file, rest = file, self._rest
            else:
                file.close()
            if len(found) >= count:
                break
        self._rest = rest
        return list(found)

    def more(self, choice: Choice) -> Iterator[Entry]:
        """What was written since, also into files that came after this one. Raises LogReadError."""
        while True:
            if self._file is None:
                self._file = _opened(self._paths[-1])
            if self._file is None:
                return
            # First whether there is a next file, then the rest of this one: nothing is written in between.
            after = self._after(self._file)
            yield from (entry for entry in self._entries(self._file) if choice.takes(entry))
            if after is None:
                return
            self.close()
            self._rest = b""
            self._file = _opened(after)

    def _after(self, file: BinaryIO) -> Path | None:
        """The file that was begun when this one was full; None while it is the newest."""
        here = os.fstat(file.fileno())
        there: Path | None = None
        for path in reversed(self._paths):
            try:
                status = path.stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == (here.st_dev, here.st_ino):
                return there
            there = path
        # It was thrown away meanwhile: the oldest that is left comes next.
        return there

    def _entries(self, file: BinaryIO) -> Iterator[Entry]:
        try:
            while chunk := file.read(CHUNK_BYTES):
                *lines, self._rest = (self._rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield entry_of(line)
                if len(self._rest) > LINE_BYTES_MAX:
                    yield entry_of(self._rest)
                    self._rest = b""
        except OSError as error:
            raise LogReadError(os_error_sentence("read", Path(str(file.name)), error)) from None


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogReadError(os_error_sentence("read", path, error)) from None


def _gravity(level: object) -> int:
    # What does not say how grave it is, is shown rather than lost.
    return LEVELS.index(level) if isinstance(level, str) and level in LEVELS else len(LEVELS)


def _is_key(value: object, wanted: str) -> bool:
    if not isinstance(value, str) or not value:
        return False
    held = value.lower()
    return held.startswith(wanted) or (len(held) >= 8 and wanted.startswith(held))
