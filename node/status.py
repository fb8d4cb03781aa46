"""What a running node tells other commands of this machine about itself, in one file it keeps rewriting."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import msgspec

from config.errors import ConfigError, os_error_sentence

STATUS_FILE_NAME: Final = "status.json"
STATUS_BYTES_MAX: Final = 4 << 20
PEERS_MAX: Final = 4_096
"""Peers written at most; the rest are counted."""
STALE_MS: Final = 10_000
"""A node writes every second: after this long without a word it hangs or is gone."""

_PEERS_UNTOLD: Final = "status_peers_left_out"


class StatusError(ConfigError):
    """The status file cannot be read or written."""


class PeerStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One connected peer."""

    public_key: str
    """Hex."""
    role: str
    """`validator`, `encoder` or `guest`."""
    address: str
    outbound: bool
    since_ms: int
    """Unix time of the connection."""
    penalty: float
    round_trip_ms: float | None = None
    """Of the last ping; None before the first was answered."""


class NodeStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One moment of a running node. Times are Unix milliseconds, keys and ids hex."""

    role: str
    public_key: str
    network_id: str
    pid: int
    version: str
    started_ms: int
    updated_ms: int
    addresses: tuple[str, ...] = ()
    peers: Annotated[tuple[PeerStatus, ...], msgspec.Meta(max_length=PEERS_MAX)] = ()
    round: int = -1
    """Negative before genesis."""
    last_certified_round: int | None = None
    phase: str = ""
    model: str | None = None
    """What an encoder embeds with; None for a validator."""
    counters: dict[str, int] = {}
    api: str | None = None
    """`host:port` of a validator's HTTP API; None where there is none."""
    modality: str = ""
    """What the network embeds, one modality for all its members; empty where older software wrote it."""


class Liveness(Enum):
    """What a status file says about its node now."""

    RUNNING = "running"
    SILENT = "silent"
    """Its process is there, but has not written for STALE_MS."""
    STOPPED = "stopped"


def with_peers_written(status: NodeStatus) -> NodeStatus:
    """The status with PEERS_MAX peers at most; how many more there are is counted."""
    if len(status.peers) <= PEERS_MAX:
        return status
    left_out = {_PEERS_UNTOLD: len(status.peers) - PEERS_MAX}
    return msgspec.structs.replace(
        status, peers=status.peers[:PEERS_MAX], counters={**status.counters, **left_out}
    )


def write_status(path: Path, status: NodeStatus) -> None:
    """Replace the file, whole or not at all. Raises StatusError.

    Not synced to disk: after a power cut nobody asks what the node was doing.
    """
    status = with_peers_written(status)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(status))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise StatusError(os_error_sentence("write", path, error)) from None


def read_status(path: Path) -> NodeStatus | None:
    """The last status written, None where there is none. Raises StatusError."""
    try:
        with path.open("rb") as file:
            data = file.read(STATUS_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StatusError(os_error_sentence("read", path, error)) from None
    if len(data) > STATUS_BYTES_MAX:
        raise StatusError(
            f"{path} is over {STATUS_BYTES_MAX} bytes: remove it, a running node writes it anew"
        )
    try:
        return msgspec.json.decode(data, type=NodeStatus)
    except (msgspec.DecodeError, RecursionError) as error:
        raise StatusError(
            f"{path} is not a node's status ({error}): remove it, a running node writes it anew"
        ) from None


def process_exists(pid: int) -> bool:
    """Whether a process of that id is there, ours or not."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False  # no process has a number that large
    except PermissionError:
        return True
    return True


def liveness(status: NodeStatus, now_ms: int) -> Liveness:
    """Whether the node that wrote the status is still at work. Looks at the process table."""
    if not process_exists(status.pid):
        return Liveness.STOPPED
    # A process id is given out again: an old status with a living id may be another program's.
    return Liveness.RUNNING if now_ms - status.updated_ms <= STALE_MS else Liveness.SILENT
