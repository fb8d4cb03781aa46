"""What a newcomer meets first: nothing is set up yet, or half of it, and each message says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from node.cli.errors import ExitCode
from node.run import ANCHORS_EVERY_MS, AnchorLog
from tests.support.cli import deltamesh


@pytest.mark.parametrize("role", ["validator", "encoder"])
def test_run__makes_no_directory_for_a_mistyped_home(tmp_path: Path, role: str) -> None:
    ended = deltamesh("run", role, "--home", tmp_path / "typo")
    assert ended.code == ExitCode.NODE_STATE
    assert "there is no node in" in ended.error
    assert not (tmp_path / "typo").exists()


def test_run__of_a_node_without_a_network_says_how_to_join_one(tmp_path: Path) -> None:
    assert deltamesh("init", "--role", "encoder", "--home", tmp_path, "--network", "ours").code == 0
    ended = deltamesh("run", "encoder", "--home", tmp_path, "--network", "ours")
    assert ended.code == ExitCode.NODE_STATE
    assert f"deltamesh init --genesis FILE --home {tmp_path} --network ours" in ended.error


def test_status__of_a_stopped_node_names_the_whole_command(tmp_path: Path) -> None:
    assert deltamesh("init", "--role", "encoder", "--home", tmp_path, "--network", "ours").code == 0
    ended = deltamesh("status", "--home", tmp_path, "--network", "ours")
    assert ended.code == ExitCode.NODE_STATE
    assert f"deltamesh run encoder --home {tmp_path} --network ours" in ended.error


def test_logs__of_a_node_that_never_ran_says_so(tmp_path: Path) -> None:
    assert deltamesh("init", "--role", "encoder", "--home", tmp_path).code == 0
    ended = deltamesh("logs", "--home", tmp_path)
    assert "There is no log in" in ended.err


def test_backup__without_a_terminal_or_a_passphrase_says_what_to_give(tmp_path: Path) -> None:
    assert deltamesh("init", "--role", "encoder", "--home", tmp_path).code == 0
    ended = deltamesh("keys", "backup", "--to", tmp_path / "b", "--home", tmp_path, stdin="")
    assert ended.code == ExitCode.USAGE
    assert "--passphrase-file FILE" in ended.error


def test_restore__of_another_file_names_no_type_of_ours(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"import numpy")
    ended = deltamesh("keys", "restore", tmp_path / "x", "--home", tmp_path / "home")
    assert ended.code == ExitCode.BAD_INPUT
    assert "is no backup of a key" in ended.error
    assert "_File" not in ended.error


def test_aligning__is_logged_every_few_seconds_and_at_its_end() -> None:
    now = [0]
    told = AnchorLog(lambda: now[0])
    with structlog.testing.capture_logs() as entries:
        for done in range(0, 1001, 10):
            told(done, 1000)
            now[0] += ANCHORS_EVERY_MS // 40
    assert [entry["done"] for entry in entries] == [400, 800, 1000]
