"""Jobs: what a request asked for, in a file each, so that it can be asked after until its answer is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from node.api.embedding.limits import INPUTS_MAX, JOB_AGE_MS_MAX, JOB_BYTES_MAX, JOBS_MAX
from node.api.errors import ApiError
from protocol.hashing import digest

FOLDER_NAME: Final = "api-jobs"
ID_CHARS: Final = 32
"""16 bytes in hex."""
_SUFFIX: Final = ".json"


class Encoding(StrEnum):
    """How vectors travel in JSON."""

    FLOAT = "float"
    """A list of 1024 numbers."""
    BASE64 = "base64"
    """4,096 bytes: 1024 float32, little-endian."""


class Served(StrEnum):
    """How an item came by its embedding."""

    REPEAT = "repeat"
    """It was certified before it was asked for."""
    ROUND = "round"
    """It rode along in a round."""


_ItemId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request: its items in order, doubles included."""

    encoding: Encoding
    items: Annotated[tuple[_ItemId, ...], msgspec.Meta(min_length=1, max_length=INPUTS_MAX)]
    served: Annotated[tuple[Served, ...], msgspec.Meta(min_length=1, max_length=INPUTS_MAX)]
    units: int
    """What `usage` counts."""
    created_ms: int

    @property
    def id(self) -> str:
        """Hex. The same request has the same job, on every validator and after every restart."""
        parts = (bytes.fromhex(item) for item in self.items)
        return digest("api-job", self.encoding.value.encode(), *parts).hex()[:ID_CHARS]

    @property
    def item_ids(self) -> list[bytes]:
        """The items in order, each once."""
        return [bytes.fromhex(item) for item in dict.fromkeys(self.items)]


class Jobs:
    """A folder of jobs, JOBS_MAX at most and for JOB_AGE_MS_MAX. Thread-safe; its methods touch the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def put(self, job: Job) -> None:
        """Keep a job; one of the same id is replaced. Raises ApiError where the disk refuses."""
        path = self._path(job.id)
        with self._lock:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                draft = path.with_suffix(".draft")
                draft.write_bytes(msgspec.json.encode(job))
                # The age of a file is that of its job, whatever the file system's clock says.
                os.utime(draft, ns=(job.created_ms * 1_000_000, job.created_ms * 1_000_000))
                draft.replace(path)
                self._drop_old(job.created_ms)
            except OSError as error:
                raise ApiError(
                    503,
                    f"the job cannot be kept ({error.strerror}): the items are queued, ask again",
                ) from error

    def get(self, job_id: str, now_ms: int) -> Job | None:
        """A job by its id; None where there is none, or no longer."""
        try:
            with self._path(job_id).open("rb") as file:
                data = file.read(JOB_BYTES_MAX)
            job = msgspec.json.decode(data, type=Job)
        except (OSError, msgspec.DecodeError):
            # A damaged one is lost: the same request makes it anew.
            return None
        fresh = now_ms - job.created_ms <= JOB_AGE_MS_MAX and len(job.items) == len(job.served)
        return job if fresh else None

    def drop(self, job_id: str) -> bool:
        """Forget a job; whether there was one. Its items are public and stay."""
        try:
            self._path(job_id).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, job_id: str) -> Path:
        # A name from a client never reaches the file system unless it is all hex.
        if len(job_id) != ID_CHARS or not set(job_id) <= set("0123456789abcdef"):
            raise ApiError(404, "there is no such job: its id is 32 hexadecimal digits", param="job_id")
        return self._folder / f"{job_id}{_SUFFIX}"

    def _drop_old(self, now_ms: int) -> None:
        found: Sequence[os.DirEntry[str]]
        with os.scandir(self._folder) as entries:
            found = sorted(entries, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        for place, entry in enumerate(found):
            if place >= JOBS_MAX or now_ms - entry.stat().st_mtime_ns // 1_000_000 > JOB_AGE_MS_MAX:
                Path(entry.path).unlink(missing_ok=True)
