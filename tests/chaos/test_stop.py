"""Stopping: in order on Ctrl-C, at once on the second, and nothing left behind whoever was killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from node.testnet.fleet import command_line
from node.testnet.plan import NodePlan
from tests.chaos.network import (
    LOOK_EVERY_S,
    MARKER,
    Shape,
    assert_nothing_runs,
    plan_network,
    processes_of,
)
from tests.chaos.text import write_long_text

pytestmark = [pytest.mark.chaos, pytest.mark.network, pytest.mark.timeout(200)]

STOPPED_WITHIN_S = 15.0
AT_ONCE_S = 3.0
SLACK = 2.0
UP = ("testnet", "up", "--validators", "3", "--encoders", "3", "--cheaters", "0")
PROCESSES_MIN = 1 + 3 + 3
OK, NODE_STATE, NETWORK, INTERRUPTED = 0, 4, 7, 130


@contextmanager
def started(command: list[str], output: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A command and the marker of its run. Nothing of it is left at the end, or the test fails."""
    run = secrets.token_hex(8)
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, MARKER: run},
            start_new_session=True,
        )
    try:
        yield process, run
    finally:
        process.kill()
        process.wait()
        assert_nothing_runs(run)


def command_up(root: Path) -> list[str]:
    """The command line of a small local network."""
    return [sys.executable, "-m", "node.cli", *UP, "--dir", str(root / "net")]


def wait_for_text(path: Path, text: str, timeout_s: float = 90.0) -> None:
    """Wait until a file holds a text."""
    deadline_s = time.monotonic() + timeout_s
    while not (path.exists() and text in path.read_text(errors="replace")):
        assert time.monotonic() < deadline_s, f"no '{text}' in {path} within {timeout_s:g} s"
        time.sleep(LOOK_EVERY_S)


def wait_mid_round(root: Path) -> None:
    """Wait until some validator has dealt: encoders embed, others fetch."""
    deadline_s = time.monotonic() + 90.0
    logs = [root / "net" / f"validator-{number}" / "localnet" / "logs" / "node.log" for number in (1, 2, 3)]
    while not any(log.exists() and '"round.dealt"' in log.read_text(errors="replace") for log in logs):
        assert time.monotonic() < deadline_s, "nobody dealt a round"
        time.sleep(LOOK_EVERY_S / 4)


def test_ctrl_c_mid_round__ends_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    with started(command_up(tmp_path), tmp_path / "output") as (process, run):
        wait_mid_round(tmp_path)
        assert len(processes_of(run)) >= PROCESSES_MIN
        told_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait(STOPPED_WITHIN_S * SLACK)
        took_s = time.monotonic() - told_s
        left = processes_of(run)
    print(f"\nstopped after {took_s:.1f} s")
    text = (tmp_path / "output").read_text()
    assert left == []
    assert "Traceback" not in text
    assert "everything is in" in text


def test_second_ctrl_c__ends_the_run_at_once(tmp_path: Path) -> None:
    with started(command_up(tmp_path), tmp_path / "output") as (process, run):
        wait_for_text(tmp_path / "output", "starting 3 validators")
        deadline_s = time.monotonic() + 60
        while len(processes_of(run)) < PROCESSES_MIN:
            assert time.monotonic() < deadline_s, "the nodes did not start"
            time.sleep(LOOK_EVERY_S)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(LOOK_EVERY_S)
        process.wait(STOPPED_WITHIN_S * SLACK)
    # The second may come when only Python has not ended yet: the signal does that, and a shell says 130 too.
    assert process.returncode in (INTERRUPTED, -signal.SIGINT)
    assert "Traceback" not in (tmp_path / "output").read_text()


def test_sigkill_of_the_parent__its_nodes_and_their_workers_end_too(tmp_path: Path) -> None:
    with started(command_up(tmp_path), tmp_path / "output") as (process, run):
        wait_mid_round(tmp_path)
        process.kill()
        process.wait()
        assert_nothing_runs(run, STOPPED_WITHIN_S * SLACK)


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> NodePlan:
    """A prepared validator that does not run."""
    root = tmp_path_factory.mktemp("validator")
    plan, _ = plan_network(root / "net", Shape(encoders=3), write_long_text(root / "text.txt"))
    return plan.validators[0]


def test_second_signal_to_a_node__ends_it_at_once(validator: NodePlan, tmp_path: Path) -> None:
    with started(command_line(validator), tmp_path / "output") as (process, _):
        wait_for_text(tmp_path / "output", "node.ready")
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.wait(AT_ONCE_S * SLACK)
        assert process.returncode in (OK, INTERRUPTED)


def test_stopped_node__exits_with_zero_and_without_a_worker(validator: NodePlan, tmp_path: Path) -> None:
    with started(command_line(validator), tmp_path / "output") as (process, run):
        wait_for_text(tmp_path / "output", "node.ready")
        workers = psutil.Process(process.pid).children(recursive=True)
        assert workers, "a validator scores in a process of its own"
        process.send_signal(signal.SIGTERM)
        process.wait(STOPPED_WITHIN_S)
        assert process.returncode == OK
        assert processes_of(run) == []
    assert "node.stopped" in (tmp_path / "output").read_text()


def test_port_in_use__one_sentence_and_the_code_for_the_network(validator: NodePlan, tmp_path: Path) -> None:
    assert validator.listen is not None
    port = int(validator.listen.rsplit("/", 1)[1])
    with socket.create_server(("127.0.0.1", port)):
        code, text = _run_to_the_end(validator, tmp_path)
    assert code == NETWORK
    assert str(port) in text
    assert "in use" in text


def test_directory_in_use__one_sentence_with_the_process_to_stop(validator: NodePlan, tmp_path: Path) -> None:
    with started(command_line(validator), tmp_path / "first") as (process, _):
        wait_for_text(tmp_path / "first", "node.ready")
        code, text = _run_to_the_end(validator, tmp_path)
        assert process.poll() is None
    assert code == NODE_STATE
    assert f"in use by process {process.pid}" in text
    assert "--home" in text


def _run_to_the_end(plan: NodePlan, directory: Path) -> tuple[int, str]:
    """A node that cannot start: its exit code and its last line, which explains all."""
    with started(command_line(plan), directory / "refused") as (process, _):
        code = process.wait(60)
    text = (directory / "refused").read_text()
    assert "Traceback" not in text
    return code, text.strip().splitlines()[-1]
