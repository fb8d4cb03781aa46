"""The disk under the data directory: room for what the settings allow the node to keep."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import Settings
from node.amounts import size
from node.doctor.checks.machine import slab_bytes
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Role, Subject
from protocol.genesis import Genesis

FREE_BYTES_MIN: Final = 256 << 20
"""Less than this and the next rounds are abandoned for want of room."""
DATABASE_BYTES: Final = 1 << 30
"""For certified rounds, logs and all that is no blob, for a while."""
INODES_MIN: Final = 10_000
ENTRIES_COUNTED_MAX: Final = 200_000

_NAME: Final = "disk"


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a folder. Bytes and files are those this user may still use."""

    place: Path
    total: int
    free: int
    inodes_free: int | None
    """None where the file system has no bound."""
    read_only: bool
    blobs: int
    """Bytes that the node's blobs take already."""


def check(subject: Subject) -> list[Finding]:
    """Look and judge."""
    return judge(disk_of(subject), subject.settings, subject.role, subject.genesis())


def disk_of(subject: Subject) -> Disk:
    """The file system on which the data directory lies, or would. Raises OSError."""
    place = subject.directory.root
    while not place.exists() and place != place.parent:
        place = place.parent
    found = os.statvfs(place)
    return Disk(
        place,
        found.f_blocks * found.f_frsize,
        found.f_bavail * found.f_frsize,
        found.f_favail if found.f_files else None,
        bool(found.f_flag & os.ST_RDONLY),
        sum(_sizes(subject.directory.blobs)),
    )


def judge(it: Disk, settings: Settings, role: Role, genesis: Genesis | None) -> list[Finding]:
    """Whether it can be written, has room now, and room for what is still to come."""
    found = []
    shown = f"{size(it.free)} free of {size(it.total)} at {it.place}"
    elsewhere = "free some space, or move the directory and set --home"
    if it.read_only:
        found.append(
            error(
                _NAME,
                f"the file system of {it.place} is read-only",
                "a node writes what it signs before it signs it",
                "remount it for writing, or choose another --home",
            )
        )
    if it.inodes_free is not None and it.inodes_free < INODES_MIN:
        found.append(
            warning(
                _NAME,
                f"{it.inodes_free:,} more files can be made at {it.place}",
                "every blob is a file; without inodes a disk with room is full",
                "remove small files there, or choose another --home",
            )
        )
    if it.free < FREE_BYTES_MIN:
        found.append(error(_NAME, shown, "rounds that cannot be written are abandoned", elsewhere))
    elif role is Role.VALIDATOR:
        coming = max(0, settings.blob_bytes_max - it.blobs) + DATABASE_BYTES
        if it.free < coming:
            found.append(
                warning(
                    _NAME,
                    f"{shown}; blobs may grow by {size(coming - DATABASE_BYTES)} (blob_bytes_max = "
                    f"{size(settings.blob_bytes_max)}), the database beside them",
                    "the disk is full before the bound is reached",
                    f"set blob_bytes_max = {max(64 << 20, (it.free + it.blobs) // 2)}, or {elsewhere}",
                )
            )
        if genesis is not None:
            found += _kept(settings, genesis)
    return found or [ok(_NAME, shown)]


def _kept(settings: Settings, genesis: Genesis) -> list[Finding]:
    kept = slab_bytes(genesis) * genesis.parameters.shards_per_round * settings.retention_rounds
    if kept <= settings.blob_bytes_max:
        return []
    rounds = max(1, settings.retention_rounds * settings.blob_bytes_max // kept)
    return [
        note(
            _NAME,
            f"answers of {settings.retention_rounds} full rounds of this network are {size(kept)}, "
            f"blob_bytes_max is {size(settings.blob_bytes_max)}",
            "if its batches fill up, rounds are abandoned until older answers go",
            f"then set retention_rounds = {rounds}, or blob_bytes_max = {kept}",
        )
    ]


def _sizes(folder: Path) -> Iterator[int]:
    """Bytes of the files in a folder of folders, so many of them at most."""
    waiting, seen = [folder], 0
    while waiting and seen < ENTRIES_COUNTED_MAX:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    seen += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # removed while it was read, or not ours to read: `directory` says so
