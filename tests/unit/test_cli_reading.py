"""Reading commands: what they print is what the node recorded, in a table or as JSON."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from node.cli.errors import ExitCode
from node.cli.output import now_ms
from node.status import STALE_MS, NodeStatus, PeerStatus, write_status
from tests.support.certified_round import certified_round
from tests.support.cli import deltamesh, directory_of, home_with_round

READERS = [["rounds"], ["scores"]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node that saw round 0 certified and rounds 1 and 2 void. Nothing in it is changed by reading."""
    folder = tmp_path_factory.mktemp("home")
    home_with_round(folder, rounds=3)
    return folder


def status(**changes: object) -> NodeStatus:
    peer = PeerStatus("ab" * 32, "encoder", "/ip4/192.0.2.1/tcp/9", False, now_ms() - 5_000, 1.5)
    values: dict[str, object] = {
        "role": "validator",
        "public_key": "cd" * 32,
        "network_id": "ef" * 32,
        "pid": os.getpid(),
        "version": "0.1.0",
        "started_ms": now_ms() - 60_000,
        "updated_ms": now_ms(),
        "peers": (peer,),
        "round": 7,
        "counters": {"gossip.dropped": 1234},
        **changes,
    }
    return NodeStatus(**values)  # type: ignore[arg-type]


def test_rounds__are_listed_newest_first(home: Path) -> None:
    rows = deltamesh("rounds", "--home", home, "--json").json
    assert [(row["round"], row["state"]) for row in rows] == [(2, "void"), (1, "void"), (0, "certified")]
    assert rows[2]["attestations"] == len(certified_round().certificate.attestations)
    assert [row["round"] for row in deltamesh("rounds", "--last", 1, "--home", home, "--json").json] == [2]
    table = deltamesh("rounds", "--home", home).out
    assert certified_round().header.signer.hex()[:8] in table
    assert "void" in table


def test_round__is_shown_with_everything_known(home: Path) -> None:
    (shard,) = deltamesh("rounds", "show", 0, "--home", home, "--json").json
    round_ = certified_round()
    keys = [key.hex() for key in round_.task.encoders]
    assert {one["encoder"] for one in shard["scores"]} == set(keys)
    assert sum(one["weight"] for one in shard["scores"]) == pytest.approx(1)
    assert [one["validator"] for one in shard["signers"]] == [
        vote.validator.hex() for vote in round_.certificate.attestations
    ]
    assert (shard["steps"][0]["answered"], shard["steps"][0]["missing"]) == (keys[1:], keys[:1])
    assert shard["disputes"][0]["term"] == "weight"
    shown = deltamesh("rounds", "show", 0, "--home", home).out
    stake = 100 * len(round_.certificate.attestations)
    for text in ("locked", "340 ms", "weight", "4200", keys[0][:8], f"{stake} of 400 stake"):
        assert text in shown
    assert keys[0] not in shown, "keys are abbreviated"


def test_text_of_strangers__cannot_steer_the_terminal(home: Path) -> None:
    shown = deltamesh("rounds", "show", 0, "--home", home).out
    assert "late ?[31mred" in shown
    assert "differs ?[2Jhere" in shown
    assert "\x1b" not in shown


def test_void_round__is_shown_without_scores(home: Path) -> None:
    (shard,) = deltamesh("rounds", "show", 2, "--home", home, "--json").json
    assert (shard["state"], shard["scores"], shard["signers"]) == ("void", [], [])
    assert "nobody yet" in deltamesh("rounds", "show", 2, "--home", home).out


@pytest.mark.parametrize("group", ["rounds", "epochs"])
def test_option_before_the_subcommand__is_refused_rather_than_lost(home: Path, group: str) -> None:
    for option in (["--home", home], ["--last", 3], ["--json"]):
        ended = deltamesh(group, *option, "show", 0)
        assert (ended.code, f"after `{group} show`" in ended.error) == (ExitCode.USAGE, True)


def test_unknown_round__is_one_sentence(home: Path) -> None:
    ended = deltamesh("rounds", "show", 99, "--home", home)
    assert (ended.code, "nothing of round 99" in ended.error) == (ExitCode.BAD_INPUT, True)


def test_scores__have_average_last_and_every_term(home: Path) -> None:
    rows = deltamesh("scores", "--home", home, "--json").json
    terms = {term.name for term in certified_round().body.scores.terms}
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert all(set(row["rounds"][0]["terms"]) == terms for row in rows)
    table = deltamesh("scores", "--home", home).out
    for column in ("last score", "G", "R", "LOF", "MS", "IN", "L", "*1.00", "literal"):
        assert column in table
    assert max(map(len, table.splitlines())) <= 80, "fits a terminal"
    best = rows[0]["encoder"]
    chosen = deltamesh("scores", "--encoder", best[:6].upper(), "--home", home, "--json").json
    assert [row["encoder"] for row in chosen] == [best]
    said = deltamesh("scores", "--encoder", best[:6], "--explain", "--home", home).out
    assert f"Encoder {best[:8]}, round " in said
    assert "from discrimination" in said
    assert "No scores of an encoder 0123" in deltamesh("scores", "--encoder", "0123", "--home", home).out


def test_bad_encoder_key__is_wrong_usage(home: Path) -> None:
    ended = deltamesh("scores", "--encoder", "nobody", "--home", home)
    assert (ended.code, "is no key" in ended.error) == (ExitCode.USAGE, True)


@pytest.mark.parametrize("command", READERS)
def test_node_that_never_ran__has_a_sentence_and_an_empty_document(
    tmp_path: Path, command: list[str]
) -> None:
    directory_of(tmp_path)
    ended = deltamesh(*command, "--home", tmp_path)
    assert (ended.code, " yet: they appear" in ended.out) == (0, True)
    assert deltamesh(*command, "--home", tmp_path, "--json").json == []


@pytest.mark.parametrize(
    "command", [*READERS, ["status"], ["peers"], ["rounds", "show", "0"], ["keys", "show"]]
)
def test_home_without_a_node__is_named_and_not_created(tmp_path: Path, command: list[str]) -> None:
    ended = deltamesh(*command, "--home", tmp_path / "typo")
    assert (ended.code, "there is no node in" in ended.error) == (ExitCode.NODE_STATE, True)
    assert not (tmp_path / "typo").exists()


def test_damaged_store__is_one_sentence_and_left_as_it_is(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    directory.store.write_bytes(b"no database at all" * 300)
    ended = deltamesh("rounds", "--home", tmp_path)
    assert (ended.code, "damaged or not a database" in ended.error) == (ExitCode.STORAGE, True)
    assert directory.store.read_bytes() == b"no database at all" * 300


def test_running_node__tells_what_it_does(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    write_status(directory.root / "status.json", status())
    ended = deltamesh("status", "--home", tmp_path)
    assert ended.code == 0, ended.err
    for text in ("running", "cd" * 32, "gossip.dropped", "1,234"):
        assert text in ended.out
    assert deltamesh("status", "--home", tmp_path, "--json").json["state"] == "running"
    peers = deltamesh("peers", "--home", tmp_path)
    assert (peers.code, "abababab" in peers.out, "ab" * 32 in peers.out) == (0, True, False)
    assert deltamesh("peers", "--home", tmp_path, "--json").json[0]["public_key"] == "ab" * 32


def test_status__names_the_modality_of_the_network(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    write_status(directory.root / "status.json", status(modality="audio"))
    assert re.search(r"embeds\s+audio", deltamesh("status", "--home", tmp_path).out)
    assert deltamesh("status", "--home", tmp_path, "--json").json["modality"] == "audio"
    # Software before this wrote none.
    write_status(directory.root / "status.json", status())
    assert re.search(r"embeds\s+-", deltamesh("status", "--home", tmp_path).out)


@pytest.mark.parametrize("command", ["status", "peers"])
def test_stopped_node__is_exit_code_4_and_still_json(tmp_path: Path, command: str) -> None:
    directory = directory_of(tmp_path)
    never = deltamesh(command, "--home", tmp_path, "--json")
    assert never.code == ExitCode.NODE_STATE
    assert never.json == ({"state": "stopped"} if command == "status" else [])
    write_status(directory.root / "status.json", status(pid=2**30))
    ended = deltamesh(command, "--home", tmp_path)
    assert ended.code == ExitCode.NODE_STATE
    assert "deltamesh run validator" in ended.error
    assert "abababab" not in ended.out


def test_silent_node__is_said_to_hang(tmp_path: Path) -> None:
    directory = directory_of(tmp_path)
    write_status(directory.root / "status.json", status(updated_ms=now_ms() - STALE_MS - 2_000))
    ended = deltamesh("status", "--home", tmp_path)
    assert (ended.code, "has said nothing for" in ended.error) == (ExitCode.NODE_STATE, True)
    assert ended.out.startswith("state")


def test_damaged_status__is_one_sentence(tmp_path: Path) -> None:
    (directory_of(tmp_path).root / "status.json").write_text("{")
    ended = deltamesh("status", "--home", tmp_path)
    assert (ended.code, "not a node's status" in ended.error) == (ExitCode.BAD_INPUT, True)


def test_version__is_printed_and_json() -> None:
    assert deltamesh("version").out.startswith("deltamesh ")
    assert deltamesh("version", "--json").json["version"] in deltamesh("version").out
