"""`deltamesh doctor` as a command: a whole report of real directories, and what it leaves untouched."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import subprocess
import threading
from functools import cache
from pathlib import Path

import pytest

from config.datadir import DataDir
from config.genesis import save_genesis
from node.cli.errors import ExitCode
from node.doctor import examining
from node.doctor.examining import examine
from node.doctor.finding import Finding, Verdict, error, note, ok
from node.doctor.placing import OF_THE_NODE, placed
from node.doctor.registry import CHECKS, Check, Group
from node.doctor.subject import Reach, Subject, subject_of
from node.keys import create_key, load_key
from node.membership import prepare_encoder, prepare_validator
from node.status import STATUS_FILE_NAME, NodeStatus, write_status
from protocol.genesis import Genesis
from tests.support.cli import deltamesh
from tests.support.documents import ROOT, read
from tests.support.genesis import small_network, text_items

SEEN_HERE = {
    *("python", "packages", "versions", "extras", "clock"),
    *("processors", "memory", "disk", "open-files", "gpu"),
}
"""Checks of the machine that runs the tests: what they say is not for these tests to judge."""


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("DELTAMESH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DELTAMESH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DELTAMESH_API", "127.0.0.1:0")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def about(name: str, *more: object) -> list[Finding]:
    """What one check of the command says."""
    ended = deltamesh("doctor", "--offline", "--json", "--only", name, *more)
    document = ended.json
    assert ended.code == (ExitCode.BAD_INPUT if document["verdict"] == "error" else 0)
    assert document["counts"][document["verdict"]] > 0
    return [
        Finding(one["check"], Verdict(one["verdict"]), one["seen"], one["why"], one["remedy"])
        for one in document["findings"]
    ]


def the(name: str, verdict: Verdict, words: str) -> Finding:
    """The finding with that verdict whose sentence has these words."""
    found = [one for one in about(name) if one.verdict is verdict and words in one.seen]
    assert len(found) == 1, about(name)
    return found[0]


@cache
def network() -> Genesis:
    return small_network()[0]


def validator(home: Path) -> DataDir:
    """A prepared validator, with a genesis of others."""
    directory = DataDir.open(home, "localnet")
    prepare_validator(
        directory,
        text_items("doctor", 8),
        stake=1,
        addresses=["/ip4/192.0.2.1/tcp/7700"],
        chain_length=4,
    )
    save_genesis(directory.genesis, network())
    return directory


def test_report__of_nothing_set_up_leads_to_init_and_makes_nothing(home: Path) -> None:
    ended = deltamesh("doctor", "--offline")
    assert "deltamesh init" in ended.out
    assert not home.exists()
    for check in CHECKS:
        assert f" {check.name} " in ended.out, check.name
    assert f"{len(CHECKS)} checks in" in ended.out


def test_report__of_a_prepared_encoder_has_no_error_in_what_is_its_own(home: Path) -> None:
    prepare_encoder(DataDir.open(home, "localnet"), stake=1)
    ended = deltamesh("doctor", "--offline", "--json")
    own = [one for one in ended.json["findings"] if one["check"] not in SEEN_HERE]
    assert {one["check"] for one in own} == {check.name for check in CHECKS} - SEEN_HERE
    assert [one for one in own if one["verdict"] in ("warning", "error")] == []


def test_report__changes_no_file_and_no_mode(home: Path) -> None:
    directory = validator(home)
    directory.root.chmod(0o755)
    directory.key.chmod(0o644)

    def state() -> dict[str, tuple[int, int, bytes]]:
        return {
            str(path): (
                path.stat().st_mode,
                path.stat().st_mtime_ns,
                b"" if path.is_dir() else path.read_bytes(),
            )
            for path in sorted([directory.root, *directory.root.rglob("*")])
        }

    before = state()
    deltamesh("doctor", "--offline")
    assert state() == before


def test_only__runs_what_it_names_and_refuses_what_there_is_not() -> None:
    assert {one.check for one in about("python", "--only", "disk")} == {"python", "disk"}
    ended = deltamesh("doctor", "--only", "pyton")
    assert ended.code == ExitCode.USAGE
    assert "did you mean 'python'" in ended.error


def test_remedies__name_the_node_as_the_user_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "some where"
    prepare_encoder(DataDir.open(elsewhere, "ours"), stake=1)
    (found,) = about("running", "--home", elsewhere, "--network", "ours")
    assert found.remedy == f"`deltamesh run encoder --home '{elsewhere}' --network ours`"
    # Not asked for by a flag, it is not asked of the user either: the environment says it to both commands.
    (found,) = about("running", "--network", "ours")
    assert "--home" not in found.remedy
    monkeypatch.setenv("DELTAMESH_API", "0.0.0.0:7780")
    monkeypatch.setenv("DELTAMESH_API_ACCESS", "open")
    checked = deltamesh("config", "check", "--home", elsewhere, "--network", "ours")
    assert f"`deltamesh token new NAME --home '{elsewhere}' --network ours`" in checked.out


@pytest.mark.parametrize(
    ("remedy", "told"),
    [
        ("`deltamesh rounds` tells", "`deltamesh rounds --home /x` tells"),
        ("`deltamesh init --role validator --home ANOTHER`", None),
        ("`deltamesh models list`", None),
        ("`deltamesh stake transfer` by a validator that has some", None),
        ("`chmod 600 /x/key`", None),
    ],
)
def test_remedy__of_this_node_alone_is_given_its_place(remedy: str, told: str | None) -> None:
    assert placed(remedy, "--home /x") == (told or remedy)
    assert placed(remedy, "") == remedy


def test_every_command_of_a_remedy__is_known_to_be_of_this_node_or_not() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "node" / "doctor").rglob("*.py"))
    named = set(re.findall(r"`deltamesh ([a-z]+)", sources + read("config/contradictions.py")))
    assert named - OF_THE_NODE == {"encoder", "genesis", "keys", "models", "stake"}
    for command in OF_THE_NODE & named - {"config", "run", "token"}:
        assert "--home" in deltamesh(command, "--help").out, command


def test_settings__that_would_be_refused_are_told_and_the_rest_is_looked_at(home: Path) -> None:
    directory = validator(home)
    directory.config.write_text("threads = 0\nthraeds = 1\n")
    found = about("settings", "--only", "directory")
    errors = [one for one in found if one.verdict is Verdict.ERROR]
    assert len(errors) == 2
    assert all(one.seen.find(f"{directory.config} line") >= 0 for one in errors)
    assert all("config check" in one.remedy for one in errors)
    assert any(one.check == "directory" and one.verdict is Verdict.OK for one in found)


def test_settings__name_where_each_value_comes_from_but_no_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = validator(home)
    directory.config.write_text('threads = 1\ntoken = "dm_secret"\n')
    monkeypatch.setenv("DELTAMESH_LOG_LEVEL", "debug")
    found = the("settings", Verdict.OK, "threads (1")
    assert f"{directory.config} line 1" in found.seen
    assert "log_level (debug, environment DELTAMESH_LOG_LEVEL)" in found.seen
    assert "dm_secret" not in deltamesh("doctor", "--offline", "--json").out


def test_settings__an_api_for_others_without_tokens_is_an_error(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validator(home)
    monkeypatch.setenv("DELTAMESH_API", "0.0.0.0:7780")
    assert "token new" in the("settings", Verdict.ERROR, "0.0.0.0:7780").remedy


def test_settings__a_model_that_cannot_learn_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAMESH_LEARN", "true")
    assert "encoder train" in the("settings", Verdict.ERROR, "cannot learn").remedy


@pytest.mark.parametrize("name", ["key", "pool.msgpack", "chain.seed"])
def test_directory__a_missing_part_is_an_error(home: Path, name: str) -> None:
    (validator(home).root / name).unlink()
    assert "backup" in the("directory", Verdict.ERROR, name).remedy


def test_directory__a_lone_signer_is_a_warning(home: Path) -> None:
    directory = validator(home)
    directory.signer.touch(0o600)
    the("directory", Verdict.WARNING, "signer.sqlite.watermark is missing")
    directory.signer.rename(directory.root / "signer.sqlite.watermark")
    the("directory", Verdict.WARNING, "signer.sqlite is missing")


def test_directory__in_the_way_or_too_long_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    (home / "localnet").write_text("")
    the("directory", Verdict.ERROR, "is not a directory")
    long = home / ("x" * 100)
    prepare_long = long / "localnet"
    prepare_long.mkdir(parents=True)
    create_key(prepare_long / "key")
    monkeypatch.setenv("DELTAMESH_HOME", str(long))
    assert "shorter --home" in the("directory", Verdict.ERROR, "bytes").remedy


@pytest.mark.parametrize("name", ["key", "pool.msgpack", "chain.seed"])
def test_secrets__open_to_others_are_an_error_with_the_command_that_closes_them(
    home: Path, name: str
) -> None:
    path = validator(home).root / name
    path.chmod(0o640)
    assert f"chmod 600 {path}" in the("secrets", Verdict.ERROR, "0640").remedy
    path.unlink()
    path.mkdir()
    the("secrets", Verdict.ERROR, "is no file")


def test_secrets__a_token_in_an_open_settings_file_is_an_error(home: Path) -> None:
    directory = validator(home)
    directory.config.write_text('token = "dm_secret"\n')
    directory.config.chmod(0o644)
    the("secrets", Verdict.ERROR, "config.toml")
    directory.config.write_text("threads = 1\n")
    assert [one.verdict for one in about("secrets")] == [Verdict.OK]


def test_lock__is_told_while_it_is_held_and_is_not_taken(home: Path) -> None:
    directory = validator(home)
    with directory.lock():
        the("lock", Verdict.NOTE, f"held by process {os.getpid()}")
    the("lock", Verdict.OK, "free")
    with directory.lock():
        pass


def test_lock__of_a_process_that_is_not_there_is_a_warning(home: Path) -> None:
    directory = validator(home)
    ended = subprocess.run(["true"], check=True)
    assert ended.returncode == 0
    directory.lock_file.write_text("999999999")
    with directory.lock_file.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        the("lock", Verdict.WARNING, "999999999")


def test_running__what_a_killed_node_left_behind_is_a_note(home: Path) -> None:
    directory = validator(home)
    gone = NodeStatus("validator", "00" * 32, "00" * 32, 999_999_999, "0.1.0", 1, 2)
    write_status(directory.root / STATUS_FILE_NAME, gone)
    the("lock", Verdict.NOTE, "left its status behind")
    the("running", Verdict.NOTE, "not running")


@pytest.mark.parametrize("content", [b"{", b"\x00" * 100, b"[" * 100_000], ids=["cut", "zeros", "deep"])
def test_running__a_damaged_status_is_told_not_raised(home: Path, content: bytes) -> None:
    (validator(home).root / STATUS_FILE_NAME).write_bytes(content)
    the("running", Verdict.WARNING, "is not a node's status")


def test_store__damaged_foreign_or_too_new_is_an_error(home: Path) -> None:
    import sqlite3

    directory = validator(home)
    directory.store.write_bytes(b"not a database" * 1_000)
    the("store", Verdict.ERROR, "damaged or not a database")
    directory.store.unlink()
    with sqlite3.connect(directory.store) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    the("store", Verdict.ERROR, "another program")


def test_membership__a_genesis_that_cannot_be_read_is_an_error(home: Path) -> None:
    directory = validator(home)
    text = directory.genesis.read_text()
    directory.genesis.write_text(text.replace('"slot_ms": ', '"slot_ms": 1'))
    assert "init --genesis" in the("membership", Verdict.ERROR, "its content is network").remedy
    directory.genesis.write_text("{")
    the("membership", Verdict.ERROR, "is not JSON")


def test_membership__a_key_of_nobody_is_told_what_it_waits_for(home: Path) -> None:
    directory = validator(home)
    assert "stake transfer" in the("membership", Verdict.NOTE, "not in genesis").remedy
    fingerprint = load_key(directory.key).fingerprint
    the("membership", Verdict.NOTE, fingerprint)


def test_membership__a_damaged_key_is_an_error(home: Path) -> None:
    directory = validator(home)
    directory.key.write_text("no key\n")
    the("membership", Verdict.ERROR, "is not a key file")


@pytest.mark.parametrize("model", ["wordlama-256", "image-patches", "./nowhere.py:encode"])
def test_model__that_cannot_be_had_is_told(home: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    directory = DataDir.open(home, "localnet")
    prepare_encoder(directory, stake=1)
    save_genesis(directory.genesis, network())
    monkeypatch.setenv("DELTAMESH_MODEL", model)
    (finding,) = about("model")
    assert finding.verdict in (Verdict.WARNING, Verdict.ERROR)
    assert "deltamesh models" in finding.remedy


def test_port__of_another_program_is_an_error_naming_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("DELTAMESH_API", f"127.0.0.1:{port}")
        assert f"process {os.getpid()} (" in the("ports", Verdict.ERROR, f"127.0.0.1:{port} is taken").seen
    the("ports", Verdict.OK, f"127.0.0.1:{port} is free")


def test_port__on_an_address_of_another_machine_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAMESH_API", "192.0.2.77:7780")
    the("ports", Verdict.ERROR, "no address of this machine")


# The report itself: a check that crashes or hangs is one line of it.


def nobody(home: Path) -> Subject:
    return subject_of(home, None, Reach.OFFLINE)


def test_check__that_crashes_is_a_finding_and_the_others_go_on(home: Path) -> None:
    def crash(_: Subject) -> list[Finding]:
        raise ZeroDivisionError("of its own")

    checks = [
        Check("first", Group.NODE, "?", crash),
        Check("second", Group.NODE, "?", lambda _: [ok("second", "fine")]),
    ]
    crashed, fine = examine(nobody(home), checks)
    assert crashed.verdict is Verdict.WARNING
    assert "ZeroDivisionError" in crashed.findings[0].seen
    assert fine.findings == (ok("second", "fine"),)


def test_check__that_hangs_is_a_finding_at_its_deadline(home: Path) -> None:
    never = threading.Event()

    def hang(_: Subject) -> list[Finding]:
        never.wait()
        return [ok("hangs", "late")]

    try:
        (hung,) = examine(nobody(home), [Check("hangs", Group.NODE, "?", hang, deadline_s=0.05)])
    finally:
        never.set()
    assert hung.verdict is Verdict.WARNING
    assert "--only hangs" in hung.findings[0].remedy


def test_findings__come_worst_first_and_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "_FINDINGS_MAX", 3)
    many = [ok("a", "1"), note("a", "2"), error("a", "3", "why", "remedy"), ok("a", "4")]
    (examined,) = examine(nobody(home), [Check("a", Group.NODE, "?", lambda _: many)])
    verdicts = [one.verdict for one in examined.findings]
    assert verdicts == [Verdict.ERROR, Verdict.NOTE, Verdict.OK]
    assert examined.verdict is Verdict.ERROR


def test_output__has_nothing_that_steers_a_terminal(home: Path) -> None:
    directory = validator(home)
    directory.config.write_text('"\\u001b[2Jthreads" = 1\n')
    ended = deltamesh("doctor", "--only", "settings")
    assert "\x1b" not in ended.out
    assert "[2Jthreads" in ended.out
    assert ended.code == ExitCode.BAD_INPUT
