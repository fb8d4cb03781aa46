"""The list of banned peers: bounded, whole or not at all, and named as people name peers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import node.bans
from config.addresses import plain_ip
from config.datadir import DataDir
from node.bans import FILE_NAME, Ban, BansError, add_ban, lift_ban, read_bans
from node.cli.banned_peer import named_peer
from node.cli.errors import CommandError
from node.network.identity import peer_id
from node.status import STATUS_FILE_NAME, NodeStatus, PeerStatus, write_status
from tests.support.cli import deltamesh

KEY = "ab" * 32
OTHER = "ac" * 32
SAME_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


@pytest.fixture
def directory(tmp_path: Path) -> DataDir:
    return DataDir.open(tmp_path, "localnet")


def test_ban__survives_and_is_lifted(directory: DataDir) -> None:
    add_ban(directory, Ban(KEY, 1, None, "rude"), 1)
    add_ban(directory, Ban("192.0.2.1", 2, 50), 2)
    assert read_bans(directory) == (Ban(KEY, 1, None, "rude"), Ban("192.0.2.1", 2, 50))
    assert (directory.root / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert lift_ban(directory, KEY, 3)
    assert not lift_ban(directory, KEY, 3)
    assert [ban.who for ban in read_bans(directory)] == ["192.0.2.1"]


def test_second_ban_of_a_peer__replaces_the_first_and_ended_ones_go(directory: DataDir) -> None:
    add_ban(directory, Ban(KEY, 1, 10), 1)
    add_ban(directory, Ban(OTHER, 1, 10), 1)
    add_ban(directory, Ban(KEY, 20, 90), 20)
    assert read_bans(directory) == (Ban(KEY, 20, 90),)
    assert [Ban(KEY, 20, 90).holds(at) for at in (89, 90)] == [True, False]


def test_full_list__refuses_one_more_and_keeps_those_there(
    directory: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node.bans, "BANS_MAX", 2)
    for number in range(2):
        add_ban(directory, Ban(f"192.0.2.{number}", 1, None), 1)
    with pytest.raises(BansError, match="unban"):
        add_ban(directory, Ban("192.0.2.9", 1, None), 1)
    assert len(read_bans(directory)) == 2


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text() | st.just(KEY),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["who", "since_ms", "until_ms"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
@SAME_FILE
def test_any_file__is_read_or_refused_with_what_to_do(directory: DataDir, data: bytes) -> None:
    (directory.root / FILE_NAME).write_bytes(data)
    try:
        assert all(ban.key is not None or plain_ip(ban.who) for ban in read_bans(directory))
    except BansError as error:
        assert "deltamesh peers ban" in str(error)  # noqa: PT017


def test_names__lead_to_one_form(directory: DataDir) -> None:
    name = peer_id(bytes.fromhex(KEY))
    for text in (KEY, KEY.upper(), "0x" + KEY, str(name), f"/ip4/192.0.2.1/tcp/1/p2p/{name}", f"/p2p/{name}"):
        assert named_peer(text, directory) == KEY
    for text in ("192.0.2.1", "::ffff:192.0.2.1", "/ip4/192.0.2.1", "/ip4/192.0.2.1/tcp/7700"):
        assert named_peer(text, directory) == "192.0.2.1"
    assert named_peer("2001:DB8:0::1", directory) == "2001:db8::1"


def test_beginning_of_a_key__names_a_connected_peer_where_it_is_one_only(directory: DataDir) -> None:
    peers = tuple(PeerStatus(key, "guest", "", True, 0, 0.0) for key in (KEY, OTHER, "ab" * 31 + "ff"))
    write_status(directory.root / STATUS_FILE_NAME, NodeStatus("validator", "", "", 1, "", 0, 0, peers=peers))
    assert named_peer("acac", directory) == OTHER
    for text in (
        "abab",
        "ffff",
        "ac",
        "xyz",
        "/dns4/example.org/tcp/1",
        "12D3KooWrong",
        "/ip4/999.1.1.1",
        "",
    ):
        with pytest.raises(CommandError, match="names no peer"):
            named_peer(text, directory)


def test_commands__ban_list_and_unban(directory: DataDir, tmp_path: Path) -> None:
    home = ("--home", tmp_path)
    assert deltamesh("peers", "banned", *home).out == "Nobody is banned.\n"
    done = deltamesh("peers", "ban", KEY, "--for", "1h", "--reason", "it \x1b[2J lied", *home)
    assert (done.code, KEY in done.out) == (0, True)
    assert "when it is started" in done.err
    (told,) = deltamesh("peers", "banned", "--json", *home).json
    assert (told["who"], told["until_ms"] - told["since_ms"]) == (KEY, 3_600_000)
    assert "\x1b" not in deltamesh("peers", "banned", *home).out
    assert deltamesh("peers", "unban", KEY, *home).code == 0
    assert "not banned" in deltamesh("peers", "unban", KEY, *home).error
    assert deltamesh("peers", "ban", "nobody", *home).code == 2
    assert deltamesh("peers", "ban", KEY, "--for", "soon", *home).code == 2
    assert deltamesh("peers", "ban", KEY, "--reason", "x" * 201, *home).code == 2
    assert read_bans(directory) == ()


def test_own_key__cannot_be_banned(directory: DataDir, tmp_path: Path) -> None:
    shown = deltamesh("keys", "new", "--home", tmp_path)
    assert shown.code == 0, shown.err
    from node.keys import load_key

    own = load_key(directory.key).public_key.hex()
    assert "own key" in deltamesh("peers", "ban", own, "--home", tmp_path).error
