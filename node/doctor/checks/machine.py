"""Processors, memory, open files: what this machine, or its container, grants the process."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import Settings
from node.amounts import size
from node.api.guard.limits import Limits as ApiLimits
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Role, Subject
from node.epochs.admission import GUESTS_MAX
from protocol.genesis import Genesis
from protocol.report import VECTOR_BYTES

NODE_BYTES: Final = 300 << 20
"""A node of either role without its answers."""
WORKER_BYTES: Final = 700 << 20
"""The scoring process with torch and its compiled kernels, or an encoder's model of words."""
SLABS: Final = 3
"""Slabs of answers at one time in the scoring process: the answers, centred ones, and those of one role."""
FILES_BESIDE: Final = 256
"""Open files that are no connections of peers: databases, logs, pipes, blobs being moved."""

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Processors:
    """Of the machine, of this process, and of its container's share (None: no limit)."""

    machine: int
    usable: int
    granted: float | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of all, free for use, and the container's limit (None: no limit)."""

    total: int
    available: int
    limit: int | None


def check_processors(subject: Subject) -> list[Finding]:
    """CPU threads."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return judge_processors(
        Processors(os.cpu_count() or 1, usable, granted_processors(_CGROUP)), subject.settings
    )


def judge_processors(it: Processors, settings: Settings) -> list[Finding]:
    """Whether the threads that are set can run at once."""
    name = "processors"
    room = min(it.usable, it.granted if it.granted is not None else it.usable)
    if settings.threads > max(1.0, room):
        return [
            warning(
                name,
                f"threads = {settings.threads}, and this process may use {room:g} processors",
                "threads that wait for each other are slower than fewer",
                f"set threads = {max(1, int(room))} (it comes from {settings.origin('threads')})",
            )
        ]
    of = "" if it.usable == it.machine else f" of {it.machine}"
    share = "" if it.granted is None else f", {it.granted:g} granted by the container"
    if room < 2:
        return [
            note(
                name,
                f"{it.usable}{of} usable{share}",
                "node and numeric work share one processor: answers may come late while it computes",
            )
        ]
    return [ok(name, f"{it.usable}{of} usable{share}; threads = {settings.threads}")]


def check_memory(subject: Subject) -> list[Finding]:
    """Memory for what the role does."""
    memory = memory_of(_MEMINFO, _CGROUP)
    if memory is None:
        return [note("memory", f"{_MEMINFO} does not say how much there is")]
    # A node that runs has taken its part already: what it holds is not asked for again.
    taken = subject.running() is not None
    return judge_memory(memory, subject.settings, subject.role, subject.genesis(), taken=taken)


def judge_memory(
    it: Memory, settings: Settings, role: Role, genesis: Genesis | None, *, taken: bool = False
) -> list[Finding]:
    """Whether node, numeric process and one shard's answers fit."""
    name = "memory"
    room = it.total if it.limit is None else min(it.total, it.limit)
    free = room if it.limit is not None and it.limit < it.available else it.available
    shown = f"{size(free)} free of {size(room)}" + (" (the container's limit)" if room == it.limit else "")
    slab = slab_bytes(genesis) if genesis is not None else 0
    found = []
    need = NODE_BYTES + WORKER_BYTES
    if role is Role.VALIDATOR:
        scored = min(slab, settings.score_bytes_max)
        need += SLABS * scored
        if slab > settings.score_bytes_max:
            found.append(
                warning(
                    name,
                    f"a full shard of this network has {size(slab)} of answers, score_bytes_max is "
                    f"{size(settings.score_bytes_max)}",
                    "this validator leaves such shards to others, and does not attest them",
                    f"set score_bytes_max = {slab} if the machine has three times that in memory",
                )
            )
    if room < need:
        found.append(
            error(
                name,
                f"{shown}; {_who(role)} here needs about {size(need)}",
                "the system ends the numeric process, or the node, when memory runs out",
                "give it more memory (or raise the container's limit), or lower score_bytes_max",
            )
        )
    elif free < need and not taken:
        found.append(
            warning(
                name,
                f"{shown}; {_who(role)} here needs about {size(need)}",
                "other programs hold the rest now",
                "stop some of them, or add memory",
            )
        )
    return found or [ok(name, shown if taken else f"{shown}; about {size(need)} are needed")]


def _who(role: Role) -> str:
    return "a node" if role is Role.NOT_SET_UP else f"this {role.value}"


def slab_bytes(genesis: Genesis) -> int:
    """Answers of one full shard: every view of every item, by every encoder of it."""
    p = genesis.parameters
    encoders = min(p.shard_size, max(len(genesis.encoders), p.encoders_min))
    items = p.scored_items + p.served_items_max
    return encoders * items * (1 + 2 * p.masks_per_item) * VECTOR_BYTES


def check_open_files(subject: Subject) -> list[Finding]:
    """`ulimit -n`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    limits = (None if soft == infinite else soft, None if hard == infinite else hard)
    return judge_open_files(*limits, subject.settings, subject.role, subject.genesis())


def judge_open_files(
    soft: int | None, hard: int | None, settings: Settings, role: Role, genesis: Genesis | None
) -> list[Finding]:
    """Whether there is a descriptor for every connection that the settings allow. None: no limit."""
    name = "open-files"
    api = ApiLimits().connections_max if role is Role.VALIDATOR and settings.api != "off" else 0
    need = settings.connections_max + api + FILES_BESIDE
    if soft is None or soft >= need:
        return [ok(name, f"{'no limit' if soft is None else format(soft, ',')}; {need:,} at most are needed")]
    members = 0 if genesis is None else len(genesis.validators) + len(genesis.encoders)
    expected = min(settings.connections_max, members + GUESTS_MAX) + FILES_BESIDE
    remedy = f"`ulimit -n {need}` before the start, or LimitNOFILE={need} in its systemd unit"
    if hard is not None and hard < need:
        remedy = f"have the hard limit ({hard:,}) raised to {need}, or set connections_max lower"
    if soft < expected:
        return [
            error(
                name,
                f"{soft:,} files may be open, and this network needs about {expected:,}",
                "past the limit peers are refused, and databases cannot be opened",
                remedy,
            )
        ]
    return [
        note(
            name,
            f"{soft:,} files may be open; with connections_max = {settings.connections_max}"
            + (f" and a busy HTTP API ({api:,})" if api else "")
            + f" it could be {need:,}",
            f"enough for the {members} members of this network; under load, what is over is refused",
            remedy,
        )
    ]


def granted_processors(cgroup: Path) -> float | None:
    """The container's share, by control groups of version 2 or 1; None for no limit."""
    first = _words(cgroup / "cpu.max")
    if len(first) == 2 and first[0].isdigit() and first[1].isdigit() and int(first[1]):
        return int(first[0]) / int(first[1])
    quota, period = _words(cgroup / "cpu/cpu.cfs_quota_us"), _words(cgroup / "cpu/cpu.cfs_period_us")
    if quota and period and quota[0].isdigit() and period[0].isdigit() and int(period[0]):
        return int(quota[0]) / int(period[0])
    return None


def memory_of(meminfo: Path, cgroup: Path) -> Memory | None:
    """What the kernel says, None where it says nothing."""
    try:
        text = meminfo.read_text()
    except OSError:
        return None
    values = {
        line.split(":")[0]: int(line.split()[1]) << 10
        for line in text.splitlines()
        if len(line.split()) > 1 and line.split()[1].isdigit()
    }
    if "MemTotal" not in values:
        return None
    limit = next(
        (
            int(words[0])
            for name in ("memory.max", "memory/memory.limit_in_bytes")
            if (words := _words(cgroup / name)) and words[0].isdigit()
        ),
        None,
    )
    total = values["MemTotal"]
    return Memory(total, values.get("MemAvailable", total), limit if limit and limit < total else None)


def _words(path: Path) -> list[str]:
    try:
        with path.open() as file:
            return file.read(4_096).split()
    except OSError:
        return []
