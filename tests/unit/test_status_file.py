"""The status file: whole at any moment, and honest about a node that is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.status import (
    PEERS_MAX,
    STALE_MS,
    Liveness,
    NodeStatus,
    PeerStatus,
    StatusError,
    liveness,
    process_exists,
    read_status,
    write_status,
)

PEER = PeerStatus("ab" * 32, "encoder", "/ip4/192.0.2.1/tcp/1", True, 5, 0.5)
STATUS = NodeStatus("validator", "cd" * 32, "ef" * 32, os.getpid(), "0.1.0", 1_000, 2_000, peers=(PEER,))


def gone_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return child.pid


def test_status__reads_as_written(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    full = msgspec.structs.replace(
        STATUS, model="m", last_certified_round=3, counters={"x": 1}, addresses=("a",)
    )
    write_status(path, STATUS)
    write_status(path, full)
    assert read_status(path) == full
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_missing_status__is_none(tmp_path: Path) -> None:
    assert read_status(tmp_path / "status.json") is None


@given(st.binary(max_size=60))
def test_garbage__is_a_status_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "status.json")
        path.write_bytes(data)
        with pytest.raises(StatusError, match="remove it"):
            read_status(path)


def test_failed_write__keeps_the_last_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "status.json"
    write_status(path, STATUS)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StatusError, match="the disk is full"):
        write_status(path, msgspec.structs.replace(STATUS, round=9))
    assert read_status(path) == STATUS
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]


def test_too_many_peers__are_counted_and_stay_readable(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_status(path, msgspec.structs.replace(STATUS, peers=(PEER,) * (PEERS_MAX + 7)))
    found = read_status(path)
    assert found is not None
    assert len(found.peers) == PEERS_MAX
    assert found.counters == {"status_peers_left_out": 7}


def test_liveness__needs_the_process_and_a_recent_word() -> None:
    assert liveness(STATUS, STATUS.updated_ms + STALE_MS) is Liveness.RUNNING
    assert liveness(STATUS, STATUS.updated_ms + STALE_MS + 1) is Liveness.SILENT
    gone = msgspec.structs.replace(STATUS, pid=gone_pid())
    assert liveness(gone, STATUS.updated_ms) is Liveness.STOPPED


@pytest.mark.parametrize("pid", [0, -1])
def test_process_group__is_no_process(pid: int) -> None:
    assert not process_exists(pid)
    assert process_exists(os.getpid())
