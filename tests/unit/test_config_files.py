"""New files on disks of all kinds: whole, never in the place of another, and nothing left beside them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from config.files import PRIVATE, create_file


def _refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["links", "no links"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, on a memory stick for one."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", _refuse)
    return tmp_path


def test_new_file__is_written_on_any_disk_with_its_mode(disk: Path) -> None:
    create_file(disk / "backup", b"sealed", mode=PRIVATE)
    assert (disk / "backup").read_bytes() == b"sealed"
    assert (disk / "backup").stat().st_mode & 0o777 == PRIVATE
    assert os.listdir(disk) == ["backup"]


@pytest.mark.parametrize("taken", ["file", "dangling link"])
def test_name_that_is_taken__is_left_alone_on_any_disk(disk: Path, taken: str) -> None:
    if taken == "file":
        (disk / "backup").write_bytes(b"older")
    else:
        (disk / "backup").symlink_to(disk / "elsewhere")
    with pytest.raises(FileExistsError):
        create_file(disk / "backup", b"sealed", mode=PRIVATE)
    assert os.listdir(disk) == ["backup"]
    assert taken != "file" or (disk / "backup").read_bytes() == b"older"


@pytest.mark.parametrize("when", ["draft", "in place"])
def test_disk_that_is_full__leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    path = tmp_path / "backup"

    def full(_: int) -> None:
        if when == "draft" or path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", _refuse)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        create_file(path, b"sealed", mode=PRIVATE)
    assert os.listdir(tmp_path) == []
