"""The data directory: private, locked by one process at a time, one sentence for whatever is in the way."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.datadir import DataDir, DataDirError, DataDirLocked

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from config.datadir import DataDir
lock = DataDir.open(Path(sys.argv[1]), "localnet").lock()
print("locked", flush=True)
sys.stdin.read()
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_open__creates_private_directories_and_opens_them_again(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path / "home", "localnet")
    assert [mode(p) for p in (directory.root, directory.blobs, directory.logs)] == [0o700] * 3
    assert DataDir.open(tmp_path / "home", "localnet") == directory


def test_open__closes_a_directory_that_was_open_to_others(tmp_path: Path) -> None:
    (tmp_path / "localnet").mkdir(mode=0o755)
    assert mode(DataDir.open(tmp_path, "localnet").root) == 0o700


def test_existing__creates_nothing_and_says_how_to_set_a_network_up(tmp_path: Path) -> None:
    with pytest.raises(DataDirError, match="deltamesh init"):
        DataDir.existing(tmp_path, "localnet")
    assert list(tmp_path.iterdir()) == []
    opened = DataDir.open(tmp_path, "localnet")
    assert DataDir.existing(tmp_path, "localnet") == opened


def test_paths__lie_in_the_directory_and_differ(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "localnet")
    names = ["genesis", "config", "key", "store", "signer", "blobs", "logs", "control_socket", "lock_file"]
    paths = {getattr(directory, name) for name in names}
    assert len(paths) == len(names)
    assert {path.parent for path in paths} == {tmp_path / "localnet"}


@pytest.mark.parametrize("network", ["", "..", "a/b", "Upper", "-x", "x" * 33, "a\n"])
def test_network_name__cannot_leave_the_home(tmp_path: Path, network: str) -> None:
    with pytest.raises(DataDirError, match="cannot name a network"):
        DataDir.open(tmp_path, network)
    assert list(tmp_path.iterdir()) == []


def test_file_in_the_way__is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "localnet").write_text("")
    with pytest.raises(DataDirError, match="a file of that name is in the way"):
        DataDir.open(tmp_path, "localnet")
    (tmp_path / "home").write_text("")
    with pytest.raises(DataDirError, match="not a directory"):
        DataDir.open(tmp_path / "home", "localnet")


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "permission denied"), (errno.EROFS, "read-only")],
)
def test_refusal_of_the_system__is_one_sentence_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DataDirError, match=f"{words}.*choose another --home"):
        DataDir.open(tmp_path, "localnet")


def test_unwritable_directory__is_refused_before_anything_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere, so that the answer of the system is given here.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataDirError, match="cannot write in"):
        DataDir.open(tmp_path, "localnet")


def test_long_path__is_refused_because_a_socket_lies_in_it(tmp_path: Path) -> None:
    with pytest.raises(DataDirError, match="too long for the control socket"):
        DataDir.open(tmp_path / ("x" * 100), "localnet")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_lock__on_a_full_disk_says_so(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "localnet")
    directory.lock_file.symlink_to("/dev/full")
    with pytest.raises(DataDirError, match="the disk is full"):
        directory.lock()


def test_lock__keeps_a_second_holder_out_and_lets_it_in_after_release(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "localnet")
    with directory.lock(), pytest.raises(DataDirLocked, match=f"process {os.getpid()}.*another --home"):
        directory.lock()
    lock = directory.lock()
    lock.release()
    lock.release()
    assert directory.lock_file.read_text().strip() == str(os.getpid())


def test_lock__of_another_process_is_named_and_ends_with_its_death(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        directory = DataDir.open(tmp_path, "localnet")
        with pytest.raises(DataDirLocked, match=f"process {holder.pid}: stop it"):
            directory.lock()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with directory.lock():
        assert directory.lock_file.read_text().strip() == str(os.getpid())


def test_lock__is_not_kept_alive_by_a_child_that_outlives_the_node(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "localnet")
    lock = directory.lock()
    child = 'import sys; print("runs", flush=True); sys.stdin.read()'
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
    ) as process:
        assert process.stdout is not None
        # The kernel lets the parent go on a moment before it closes the files of the child.
        assert process.stdout.readline() == b"runs\n"
        lock.release()
        with directory.lock():
            assert process.poll() is None, "the child was still there"
