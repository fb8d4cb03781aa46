"""The record a validator stays with, on disk before its precommit leaves: a restart must not forget it."""

from __future__ import annotations

from pathlib import Path

from config.files import PRIVATE, replace_file
from node.store import StoreError
from protocol.codec import CodecError, Digest, Natural, Record, decode, encode
from protocol.messages import AttestationRef
from protocol.rounds.effects import EpochLocked
from protocol.schedule import ShardRound

FILE_NAME = "epoch.lock"
FILE_BYTES_MAX = 1 << 20


class _Lock(Record, frozen=True):
    network_id: Digest
    at: ShardRound
    epoch: Natural
    record: Digest
    seen: tuple[AttestationRef, ...]
    inputs: Digest
    inputs_bytes: Natural


def write_lock(path: Path, network_id: bytes, lock: EpochLocked) -> None:
    """Write it down, whole and durable. Raises StoreError."""
    data = encode(
        _Lock(network_id, lock.at, lock.epoch, lock.record, lock.seen, lock.inputs, lock.inputs_bytes)
    )
    try:
        replace_file(path, data, mode=PRIVATE)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; without it this validator may not vote on the "
            "next epoch: free some space"
        ) from error


def read_lock(path: Path, network_id: bytes) -> EpochLocked | None:
    """What was written last; None where nothing was. Raises StoreError for a file that is damaged."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}; check its permissions") from error
    try:
        lock = decode(data, _Lock, size_bytes_max=FILE_BYTES_MAX)
    except CodecError as error:
        raise StoreError(
            f"{path} is damaged ({error}), and may say which record this validator stays with: put it back "
            "from a backup, or remove it once the network has agreed on its next epoch without this node"
        ) from None
    if lock.network_id != network_id:
        raise StoreError(f"{path} is of another network: give the node a data directory of its own")
    return EpochLocked(lock.at, lock.epoch, lock.record, lock.seen, lock.inputs, lock.inputs_bytes)
