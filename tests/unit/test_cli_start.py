"""The command as a process: how fast it starts, how it ends, and what it writes where."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from node.cli import app
from node.cli.errors import EXIT_CODE_LINES, CommandError, ExitCode, explain
from node.store import StoreFull
from tests.support.cli import ROOT, deltamesh, process

HEAVY = [
    *("torch", "numpy", "libp2p", "trio", "wordllama", "sqlite3", "sklearn", "pyarrow", "safetensors"),
    *("pydantic", "msgspec", "nacl", "rich.table", "uvloop"),
]
COMMANDS = [
    *(
        ["init"],
        ["genesis", "create"],
        ["genesis", "show"],
        ["keys", "new"],
        ["keys", "show"],
        ["config", "show"],
        ["config", "check"],
        ["doctor"],
        ["keys", "backup"],
        ["keys", "restore"],
        ["keys", "rotate"],
        ["run", "validator"],
    ),
    *(
        ["run", "encoder"],
        ["submit"],
        ["status"],
        ["peers"],
        ["rounds"],
        ["rounds", "show"],
        ["rounds", "export"],
    ),
    *(["testnet", "up"], ["scores"], ["embeddings", "export"], ["verify"], ["sim"], ["version"]),
]


def _with_arguments() -> list[list[str]]:
    """Every command that takes one."""

    def below(command: Any, words: list[str]) -> Iterator[list[str]]:
        if any(one.param_type_name == "argument" for one in command.params):
            yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from below(child, [*words, name])

    return list(below(typer.main.get_command(app), []))


def test_import__loads_nothing_heavy() -> None:
    code = "import sys, json, node.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=60)
    loaded = set(json.loads(done.stdout))
    assert "typer" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help__is_there_for_every_command(command: list[str]) -> None:
    ended = deltamesh(*command, "--help")
    assert ended.code == 0
    assert "Usage: deltamesh" in ended.out


def test_help__lists_every_exit_code() -> None:
    text = " ".join(deltamesh("--help").out.split())
    assert set(EXIT_CODE_LINES) == set(ExitCode)
    for code in ExitCode:
        assert f"{code.value} {EXIT_CODE_LINES[code]}" in text


def test_help__lists_every_command_under_a_heading() -> None:
    root: Any = typer.main.get_command(app)
    assert sorted(root.list_commands(None)) == sorted(root.commands)
    text = deltamesh("--help").out
    assert (
        text.index("─ Begin") < text.index("│ testnet") < text.index("─ Run a node") < text.index("│ doctor")
    )
    assert "─ Commands" not in text


def test_help__keeps_what_it_says_in_brackets() -> None:
    assert "[default: localnet]" in " ".join(deltamesh("token", "list", "--help").out.split())


@pytest.mark.parametrize("words", _with_arguments(), ids=" ".join)
def test_help__calls_an_argument_by_its_name_alone(words: list[str]) -> None:
    text = deltamesh(*words, "--help").out
    (panel,) = re.findall(r"╭─ Arguments ─+╮\n(.*?)╰", text, re.DOTALL)
    assert not re.search(r"<[a-z]", panel), panel
    assert not re.search(r"│\s+\*?\s+[a-z]", panel.splitlines()[0]), "named in capitals"


def test_help__gives_a_flag_no_value() -> None:
    for command in COMMANDS:
        assert "<bool>" not in deltamesh(*command, "--help").out
    assert "<int" not in deltamesh("rounds", "--help").out


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["rounds", "--last", "0"], ["rounds", "show", "x"], ["submit"]]
)
def test_wrong_usage__is_exit_code_2(arguments: list[str]) -> None:
    ended = deltamesh(*arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "Usage: deltamesh" in ended.err


def test_process__ends_with_the_code_and_one_sentence(tmp_path: Path) -> None:
    ended = process("status", "--home", tmp_path)
    assert (ended.code, ended.out) == (ExitCode.NODE_STATE, "")
    assert "there is no node in" in ended.error
    assert process("keys", "new", "--home", tmp_path, "--json").json["peer_id"].startswith("12D3KooW")


def test_full_standard_output__is_one_sentence(tmp_path: Path) -> None:
    process("keys", "new", "--home", tmp_path)
    ended = process("keys", "show", "--home", tmp_path, stdout=Path("/dev/full"))
    assert ended.code == ExitCode.STORAGE
    assert "the disk is full" in ended.error


def test_full_disk__makes_no_half_member(tmp_path: Path) -> None:
    # Bytecode cut short by the limit would break every later process.
    limit = "import resource, sys; sys.dont_write_bytecode = True; "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))"
    ended = process("init", "--role", "validator", "--home", tmp_path, before=limit)
    assert ended.code == ExitCode.STORAGE
    assert ended.error.startswith("cannot write the pool of challenge items")
    key = (tmp_path / "localnet/key").read_bytes()
    assert not list((tmp_path / "localnet").glob("*pool*"))
    again = process("init", "--role", "validator", "--home", tmp_path)
    assert again.code == 0, again.err
    assert (tmp_path / "localnet/key").read_bytes() == key


def test_unexpected_error__names_the_file_with_its_traceback() -> None:
    def fault() -> None:
        raise RuntimeError("the reason")

    try:
        fault()
    except RuntimeError as error:
        sentence, code = explain(error)
    assert code is ExitCode.UNEXPECTED
    assert "\n" not in sentence
    found = re.search(r"the details are in (\S+);", sentence)
    assert found is not None
    written = Path(found[1])
    try:
        assert "in fault" in written.read_text()
        assert "the reason" in written.read_text()
    finally:
        written.unlink()


def test_debug__shows_the_traceback(tmp_path: Path) -> None:
    ended = process("--debug", "status", "--home", tmp_path)
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "CommandError" in ended.err


def test_group_of_errors__is_explained_by_the_known_one() -> None:
    known = CommandError("the port is in use", ExitCode.NETWORK)
    group = ExceptionGroup("nursery", [ValueError("noise"), ExceptionGroup("inner", [known])])
    assert explain(group) == ("the port is in use", ExitCode.NETWORK)


def test_derived_error__has_the_code_of_its_nearest_base() -> None:
    assert explain(StoreFull("full"))[1] is ExitCode.STORAGE
    from config.datadir import DataDirError, DataDirLocked

    assert explain(DataDirLocked("locked"))[1] is ExitCode.NODE_STATE
    assert explain(DataDirError("no"))[1] is ExitCode.BAD_INPUT


def test_every_exit_code_table_entry__names_a_class_that_exists() -> None:
    from importlib import import_module

    from node.cli import errors

    for module, name in errors._CODES:
        assert issubclass(getattr(import_module(module), name), Exception)
