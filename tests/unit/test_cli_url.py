"""Reading commands over a validator's API: they print what they print beside its data directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.bundle import read_bundle
from node.certified import ITEM_CHECKS
from node.cli.errors import ExitCode
from node.verify import verify_bundle
from tests.support.certified_round import certified_round
from tests.support.cli import deltamesh
from tests.support.genesis import small_network
from tests.support.served_api import on_a_port, round_service

pytestmark = pytest.mark.network

NOT_TOLD = {"timings_ms"}
"""What the API leaves out."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    """The API over that home."""
    with round_service(home, rounds=3) as service, on_a_port(service) as address:
        yield address


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No node of whoever runs the tests is read."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def without(document: Any) -> Any:
    if isinstance(document, list):
        return [without(one) for one in document]
    if isinstance(document, dict):
        return {name: without(value) for name, value in document.items() if name not in NOT_TOLD}
    return pytest.approx(document) if isinstance(document, float) else document


@pytest.mark.parametrize(
    "command",
    [
        ["rounds"],
        ["rounds", "--last", "1"],
        ["rounds", "show", "0"],
        ["rounds", "show", "2"],
        ["rounds", "show", "0", "--disputes"],
        ["scores"],
        ["scores", "--last", "1"],
        ["epochs"],
        ["epochs", "show", "0"],
        ["epochs", "weights", "0"],
    ],
    ids=" ".join,
)
def test_reading_command__prints_the_same_over_http(home: Path, url: str, command: list[str]) -> None:
    here, there = (deltamesh(*command, *where, "--json") for where in (["--home", home], ["--url", url]))
    assert (here.code, there.code) == (0, 0), there.err
    assert without(there.json) == without(here.json)
    assert here.json not in ([], {})
    tables = [deltamesh(*command, *where).out.splitlines() for where in (["--home", home], ["--url", url])]
    assert tables[1] == [line for line in tables[0] if not line.startswith("timings")]


def test_explanation__is_the_same_over_http(home: Path, url: str) -> None:
    here, there = (
        deltamesh("scores", "--explain", *where).out for where in (["--home", home], ["--url", url])
    )
    assert here == there
    assert "from discrimination" in there


def test_status_and_peers__are_those_of_the_node_asked(url: str) -> None:
    told = deltamesh("status", "--url", url, "--json")
    assert (told.code, told.json["state"], told.json["counters"]) == (0, "running", {"gossip.dropped": 1234})
    assert "running (version" in deltamesh("status", "--url", url).out
    (peer,) = deltamesh("peers", "--url", url, "--json").json
    assert peer["public_key"] == "ab" * 32


def test_url__may_come_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAMESH_URL", url)
    assert [row["round"] for row in deltamesh("rounds", "--json").json] == [2, 1, 0]


def test_report__is_downloaded_whole_and_verifies(url: str, tmp_path: Path) -> None:
    ended = deltamesh("rounds", "export", "0", "--url", url, "--to", tmp_path / "a.dmr")
    assert ended.code == 0, ended.err
    verify_bundle(read_bundle(tmp_path / "a.dmr"), certified_round().genesis.network_id)
    assert [path.name for path in tmp_path.iterdir()] == ["a.dmr"]
    void = deltamesh("rounds", "export", "2", "--url", url, "--to", tmp_path / "b.dmr")
    assert (void.code, "only certified ones" in void.error) == (ExitCode.NODE_STATE, True)


def test_unknown_round_and_epoch__are_one_sentence(url: str) -> None:
    for command in (["rounds", "show", "99"], ["epochs", "show", "99"]):
        ended = deltamesh(*command, "--url", url)
        assert ended.code == ExitCode.BAD_INPUT, ended.err
        assert "99" in ended.error


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1:1"])
def test_nobody_there__is_one_sentence_and_a_code(address: str) -> None:
    ended = deltamesh("status", "--url", address)
    assert (ended.code, "nobody answers" in ended.error) == (ExitCode.NETWORK, True)


@pytest.mark.parametrize("address", ["ftp://x", "http:///", "http://a b", "http://x/?q=1"])
def test_no_address__is_one_sentence(address: str) -> None:
    assert "is no address" in deltamesh("rounds", "--url", address).error


TRUST = ["--network-id", certified_round().genesis.network_id.hex()]


def known_texts(count: int) -> list[str]:
    """Texts that round 0 has certified."""
    return [item.decode() for item in certified_round().task.batch.items[:count]]


def test_item__is_verified_check_by_check(url: str) -> None:
    (text,) = known_texts(1)
    told = deltamesh("verify", "--text", text, "--url", url, *TRUST, "--json")
    assert told.code == 0, told.err
    assert told.json["accepted"] is True
    assert [one["check"] for one in told.json["checks"]] == [check.value for check in ITEM_CHECKS]
    shown = deltamesh("verify", "--item", told.json["item_id"], "--url", url, *TRUST)
    assert (shown.code, shown.out.count("✓"), "Accepted: item" in shown.out) == (0, len(ITEM_CHECKS), True)


def test_item_of_another_network__is_refused(url: str) -> None:
    other, _, _ = small_network(seed="b")
    (text,) = known_texts(1)
    where = ["--text", text, "--url", url, "--network-id", other.network_id.hex()]
    told = deltamesh("verify", *where)
    assert (told.code, "✗ network" in told.out) == (ExitCode.REFUSED, True)
    document = deltamesh("verify", *where, "--json").json
    assert (document["accepted"], document["failed"]["check"]) == (False, "network")


def test_verify__wants_one_thing_to_verify(url: str) -> None:
    assert deltamesh("verify", *TRUST).code == ExitCode.USAGE
    assert deltamesh("verify", "a.dmr", "--item", "ab" * 32, *TRUST).code == ExitCode.USAGE
    assert "has 64 hexadecimal digits" in deltamesh("verify", "--item", "ab", "--url", url, *TRUST).error
