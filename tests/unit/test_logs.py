"""Logs: one line each, whatever peers put into them, on the terminal and in the file."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.logs import FILE_NAME, set_up_logging
from node.terminal_text import escaped

FORGED = "gone\n2031-01-01T00:00:00Z [error    ] funds.moved\r\x1b[2J\x1b[31mred\x9b0m\u2028\u202eevil"


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Handlers and levels of these tests end with them."""
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = kept
    root.setLevel(level)
    structlog.reset_defaults()


def entries(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / FILE_NAME).read_text().split("\n") if line]


@pytest.mark.parametrize("format_", ["console", "json"])
def test_peer_string__stays_one_line_without_control_characters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format_: str
) -> None:
    set_up_logging(tmp_path, "info", format_)
    log = structlog.get_logger("node.tests")
    log.warning("peer.said", reason=FORGED, names=[FORGED], raw=FORGED.encode(), count=3)
    logging.getLogger("node.library").warning("it said %s", FORGED)
    shown = capsys.readouterr().err
    assert shown.count("\n") == 2
    assert shown.isascii()
    assert not any(ord(character) < 32 for character in shown.replace("\n", ""))
    assert "funds.moved" in shown
    assert len(entries(tmp_path)) == 2
    assert entries(tmp_path)[0]["reason"] == FORGED


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_escaped_text__has_no_line_end_and_keeps_every_letter(text: str) -> None:
    line = escaped(text)
    assert len(line.splitlines()) <= 1
    assert escaped(line) == line
    assert line.startswith(text[:1] if text[:1].isalnum() else "")


def test_traceback__is_told_apart_from_log_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(tmp_path, "info", "console")
    try:
        raise ValueError(FORGED)
    except ValueError:
        structlog.get_logger("node.tests").exception("task.failed", task="fetch")
    first, *rest = capsys.readouterr().err.rstrip("\n").split("\n")
    assert "task.failed" in first
    assert rest
    assert all(line.startswith("    ") for line in rest if line)
    assert "\x1b" not in "".join(rest)
    (entry,) = entries(tmp_path)
    assert "ValueError" in str(entry["exception"])


def test_levels__libraries_are_heard_from_warnings_on_and_libp2p_hardly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(tmp_path, "debug", "json")
    structlog.get_logger("node.tests").debug("heard")
    logging.getLogger("somebody").info("not heard")
    logging.getLogger("somebody").warning("heard too")
    logging.getLogger("libp2p.network").error("not heard either")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == [
        "heard",
        "heard too",
    ]


def test_second_set_up__closes_what_the_first_opened_and_doubles_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(tmp_path, "info", "json")
    first = logging.getLogger().handlers[:]
    set_up_logging(tmp_path, "info", "json")
    assert not set(first) & set(logging.getLogger().handlers)
    structlog.get_logger("node.tests").info("once")
    assert len(capsys.readouterr().err.splitlines()) == len(entries(tmp_path)) == 1
