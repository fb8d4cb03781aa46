"""`deltamesh logs`: what was logged comes back in order, over rotated files, and never steers a terminal."""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.datadir import DataDir
from node.cli.duration import duration_ms
from node.cli.errors import CommandError
from node.cli.log_view import line_of
from node.log_reading import LINE_BYTES_MAX, UNREADABLE, Choice, LogReader, entry_of, time_of
from node.logs import FILE_NAME, FILES_KEPT
from tests.support.cli import ROOT, deltamesh

ALL = Choice()
KEY = "ab" * 32
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
)


def written(number: int, **fields: object) -> bytes:
    entry = {"event": f"event.{number}", "level": "info", "timestamp": "2026-11-22T10:00:00.5Z", **fields}
    return json.dumps(entry).encode() + b"\n"


def numbers(entries: list[dict[str, object]]) -> list[int]:
    return [int(str(entry["event"]).split(".")[1]) for entry in entries]


def rotate(directory: Path) -> None:
    """As the node's handler does when its file is full."""
    for number in range(FILES_KEPT, 0, -1):
        older = directory / (FILE_NAME if number == 1 else f"{FILE_NAME}.{number - 1}")
        if older.exists():
            older.replace(directory / f"{FILE_NAME}.{number}")


def append(directory: Path, *lines: bytes) -> None:
    with (directory / FILE_NAME).open("ab") as file:
        file.writelines(lines)


@given(
    st.lists(st.sampled_from(["line", "rotate", "look"]), max_size=40),
    st.integers(0, 10),
)
@settings(max_examples=40)
def test_following__tells_every_line_once_and_in_order_over_rotations(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], count: int
) -> None:
    directory = tmp_path_factory.mktemp("logs")
    written_before = rotations = 0
    for written_before in range(1, 6):
        append(directory, written(written_before))
        if written_before % 2 == 0:
            rotate(directory)
    reader = LogReader(directory)
    told = numbers(reader.newest(count, ALL))
    assert told == list(range(1, 6))[max(0, 5 - count) :]
    number = 5
    heard: list[int] = []
    for step in [*steps, "look"]:
        if step == "line":
            number += 1
            append(directory, written(number))
        # Between two looks fewer rotations than files are kept: more would lose lines, for they are gone.
        elif step == "rotate" and rotations < FILES_KEPT - 1 and (directory / FILE_NAME).exists():
            rotations += 1
            rotate(directory)
        elif step == "look":
            rotations = 0
            heard += numbers(list(reader.more(ALL)))
    reader.close()
    assert heard == list(range(6, number + 1))


def test_half_a_line__waits_for_its_end(tmp_path: Path) -> None:
    line = written(7)
    append(tmp_path, written(1), line[:10])
    reader = LogReader(tmp_path)
    assert numbers(reader.newest(9, ALL)) == [1]
    assert list(reader.more(ALL)) == []
    append(tmp_path, line[10:])
    assert numbers(list(reader.more(ALL))) == [7]
    reader.close()


def test_log_that_is_not_there_yet__is_told_once_it_is(tmp_path: Path) -> None:
    reader = LogReader(tmp_path)
    assert reader.newest(9, ALL) == list(reader.more(ALL)) == []
    append(tmp_path, written(1))
    assert numbers(list(reader.more(ALL))) == [1]
    reader.close()


@given(st.binary(max_size=200))
def test_any_bytes__are_an_entry_or_one_that_says_so(line: bytes) -> None:
    entry = entry_of(line)
    assert isinstance(entry, dict)
    json.dumps(entry)
    ALL.takes(entry)


def test_endless_line__is_cut_not_kept(tmp_path: Path) -> None:
    append(tmp_path, b"[" * (3 * LINE_BYTES_MAX), b"\n", written(2))
    reader = LogReader(tmp_path)
    found = reader.newest(9, ALL)
    reader.close()
    assert found[0]["event"] == UNREADABLE
    assert found[-1]["event"] == "event.2"
    assert len(json.dumps(found)) < 10_000


@given(
    st.dictionaries(
        st.sampled_from(["event", "level", "round", "shard", "peer", "x"]) | st.text(), JSON_VALUES
    )
)
@settings(max_examples=40)
def test_hostile_entry__is_one_line_that_steers_no_terminal(entry: dict[str, object]) -> None:
    entry.pop("exception", None)
    entry.pop("stack", None)
    shown = click.unstyle(line_of(entry))
    assert len(shown.splitlines()) <= 1
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in shown)
    shown.encode()


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        (Choice(level="warning"), {2, 3}),
        (Choice(event="round.*"), {1}),
        (Choice(event="round.dealt"), {1}),
        (Choice(round=7), {1, 3}),
        (Choice(peer="abab"), {2}),
        (Choice(peer=KEY), {2}),
        (Choice(peer="ac"), set()),
        (Choice(since_ms=1_000), {1, 2}),
        (ALL, {1, 2, 3}),
    ],
)
def test_choice__takes_what_fits(choice: Choice, taken: set[int]) -> None:
    entries = {
        1: {"event": "round.dealt", "level": "info", "round": 7, "timestamp": "1970-01-01T00:00:02Z"},
        2: {"event": "peer.gone", "level": "warning", "peer": KEY[:8], "timestamp": "1970-01-01T00:00:01Z"},
        3: {"event": "odd", "level": ["?"], "round": 7, "timestamp": "yesterday"},
    }
    assert {number for number, entry in entries.items() if choice.takes(entry)} == taken


def test_time__is_read_as_utc_in_milliseconds() -> None:
    assert time_of({"timestamp": "1970-01-01T00:00:01.5Z"}) == 1_500
    assert time_of({"timestamp": "1970-01-01T00:00:01.5"}) == 1_500
    assert time_of({"timestamp": 5}) is None


@pytest.mark.parametrize("when", ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"])
def test_time_that_no_year_has__is_none(when: str) -> None:
    entry = {"timestamp": when, "event": "odd"}
    assert time_of(entry) is None
    assert click.unstyle(line_of(entry)).startswith("- ")


@pytest.mark.parametrize(("text", "length_ms"), [("90s", 90_000), ("1h30m", 5_400_000), ("2d", 172_800_000)])
def test_duration__is_what_people_write(text: str, length_ms: int) -> None:
    assert duration_ms(text, "--since") == length_ms


@pytest.mark.parametrize("text", ["", "10", "m", "0s", "-5m", "1.5h", "10m ", "99999999d", "٣m", "1h x"])
def test_what_is_no_duration__is_wrong_usage_with_an_example(text: str) -> None:
    with pytest.raises(CommandError, match="10m"):
        duration_ms(text, "--since")


def test_command__prints_json_lines_elsewhere_than_on_a_terminal(tmp_path: Path) -> None:
    directory = DataDir.open(tmp_path, "localnet")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    append(directory.logs, written(1), written(2, peer="\x1b[2Jred", timestamp=now), b"\x00rubbish\n")
    ended = deltamesh("logs", "--home", tmp_path)
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["event"] for line in lines] == ["event.1", "event.2", UNREADABLE]
    assert ended.out.isascii()
    assert "\x1b" not in ended.out
    recent = deltamesh("logs", "--home", tmp_path, "--since", "1h", "-n", 1).out
    assert json.loads(recent)["event"] == "event.2"
    nothing = deltamesh("logs", "--home", tmp_path, "--event", "none.*")
    assert (nothing.code, nothing.out) == (0, "")
    assert "Nothing of that kind" in nothing.err


@pytest.mark.parametrize(
    ("options", "code"),
    [(["--since", "soon"], 2), (["--peer", "xyz"], 2), (["--level", "loud"], 2), (["--network", "other"], 4)],
)
def test_mistaken_options__end_with_one_sentence(tmp_path: Path, options: list[str], code: int) -> None:
    DataDir.open(tmp_path, "localnet")
    assert deltamesh("logs", "--home", tmp_path, *options).code == code


# What is of a whole slot, not of one of its shards.
OF_THE_SLOT = {"rounds.untidied", "model.not_learnt", "model.learnt"}


def test_every_line_about_a_round__names_its_shard_too() -> None:
    lines = 0
    for path in sorted((ROOT / "node").rglob("*.py")):
        source = path.read_text()
        if "log." not in source or "round=" not in source:
            continue
        for call in ast.walk(ast.parse(source)):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
                continue
            if not (isinstance(call.func.value, ast.Name) and call.func.value.id == "log"):
                continue
            names = {keyword.arg for keyword in call.keywords}
            event = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else ""
            if "round" in names and event not in OF_THE_SLOT:
                lines += 1
                assert "shard" in names, f"{path}:{call.lineno}"
    assert lines > 15
