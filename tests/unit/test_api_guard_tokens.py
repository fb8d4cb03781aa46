"""Access tokens: made, kept as hashes, known to a running node, asked for where the settings say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ConfigError
from config.settings import load_settings
from node.api.guard.access import Tokens, token_in
from node.api.guard.buckets import Buckets
from node.api.guard.limits import Limits
from node.api.guard.policy import Access, access_of, check_reachable
from node.api.guard.refusal import client_host
from node.api.guard.tokens import (
    FILE_NAME,
    LOOK_EVERY_S,
    TOKENS_MAX,
    TokenBook,
    TokenError,
    matching,
    new_token,
    read_tokens,
    revoke_token,
)
from node.private_file import PrivateFileError
from tests.support.asgi import HOST, Inner, ask, scope_of
from tests.support.cli import deltamesh

LIMITS = Limits()


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_new_token__is_shown_once_and_kept_as_a_hash_only_this_user_reads(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    first, second = new_token(path, "first"), new_token(path, "second")
    assert first != second
    assert len(first) > 40
    text = path.read_text()
    assert first not in text
    assert second not in text
    assert path.stat().st_mode & 0o777 == 0o600
    tokens = read_tokens(path)
    assert (matching(tokens, first), matching(tokens, second)) == ("first", "second")
    revoke_token(path, "first")
    assert matching(read_tokens(path), first) is None


@given(st.text(max_size=300))
def test_matching__no_text_is_a_token_that_was_not_made(text: str) -> None:
    assert matching({"a": bytes(32)}, text) is None


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\nb", "é", "a" * 65, "../x"])
def test_new_token__with_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TokenError, match="cannot name a token"):
        new_token(tmp_path / FILE_NAME, name)


def test_tokens__of_one_name_and_too_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.touch(mode=0o600)
    path.write_text("".join(f"t{n} {n:064x}\n" for n in range(TOKENS_MAX - 1)))
    with pytest.raises(TokenError, match="token revoke t0"):
        new_token(path, "t0")
    new_token(path, "last")
    with pytest.raises(TokenError, match="most there can be"):
        new_token(path, "one-more")
    with pytest.raises(TokenError, match="token list"):
        revoke_token(path, "nobody")


@pytest.mark.parametrize(
    "line", ["x", "a 00", "a " + "g" * 64, "a " + "0" * 65, "a " + "0" * 64 + "\na " + "1" * 64]
)
def test_read_tokens__a_damaged_file_is_refused_by_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / FILE_NAME
    path.touch(mode=0o600)
    path.write_text(line + "\n")
    with pytest.raises(TokenError, match="line"):
        read_tokens(path)


def test_token_book__follows_the_file_and_trusts_none_that_others_can_read(tmp_path: Path) -> None:
    path, clock = tmp_path / FILE_NAME, Clock()
    book = TokenBook(path, clock)

    def known(token: str) -> str | None:
        clock.now_s += LOOK_EVERY_S
        return book.name_of(token)

    assert known("dm_x") is None
    token = new_token(path, "a")
    assert book.name_of(token) is None, "it looks once a second"
    assert known(token) == "a"
    path.chmod(0o644)
    assert known(token) is None
    path.chmod(0o600)
    assert known(token) == "a"
    path.write_text("garbage\n")
    assert known(token) is None
    os.unlink(path)
    assert known(token) is None


@pytest.mark.parametrize(
    ("api", "setting", "access"),
    [
        ("127.0.0.1:7780", "auto", Access.OPEN),
        ("[::1]:7780", "auto", Access.OPEN),
        ("0.0.0.0:7780", "auto", Access.TOKEN),
        ("[::]:7780", "auto", Access.TOKEN),
        ("127.0.0.1:7780", "token", Access.TOKEN),
        ("0.0.0.0:7780", "open", Access.OPEN),
        ("0.0.0.0:7780", "read", Access.READ),
    ],
)
def test_access__auto_is_open_on_loopback_alone(
    tmp_path: Path, api: str, setting: str, access: Access
) -> None:
    settings = load_settings({"home": tmp_path, "api": api, "api_access": setting}, environment={})
    assert access_of(settings) is access


def test_check_reachable__others_are_not_served_by_tokens_that_do_not_exist(tmp_path: Path) -> None:
    def check(api: str, access: str = "auto") -> None:
        settings = load_settings({"home": tmp_path, "api": api, "api_access": access}, environment={})
        check_reachable(settings, tmp_path)

    for api, access in (("127.0.0.1:7780", "token"), ("off", "token"), ("0.0.0.0:7780", "open")):
        check(api, access)
    with pytest.raises(ConfigError, match="deltamesh token new NAME"):
        check("0.0.0.0:7780")
    new_token(tmp_path / FILE_NAME, "a")
    check("0.0.0.0:7780")
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(PrivateFileError):
        check("0.0.0.0:7780")


@pytest.fixture(name="token")
def _token(tmp_path: Path) -> str:
    return new_token(tmp_path / FILE_NAME, "alice")


OPEN, READ, TOKEN = Access.OPEN, Access.READ, Access.TOKEN
NONE, GOOD, BAD = "none", "good", "bad"


@pytest.mark.parametrize(
    ("access", "method", "path", "given", "status"),
    [
        (OPEN, "POST", b"/v1/search", NONE, 200),
        (OPEN, "POST", b"/v1/search", BAD, 200),
        (READ, "GET", b"/v1/status", NONE, 200),
        (READ, "GET", b"/v1/status", BAD, 401),
        (READ, "POST", b"/v1/search", NONE, 401),
        (READ, "POST", b"/v1/search", BAD, 401),
        (READ, "DELETE", b"/v1/jobs/a", NONE, 401),
        (READ, "POST", b"/v1/search", GOOD, 200),
        (TOKEN, "GET", b"/v1/status", NONE, 401),
        (TOKEN, "GET", b"/v1/status", BAD, 401),
        (TOKEN, "GET", b"/v1/status", GOOD, 200),
        (TOKEN, "GET", b"/metrics", NONE, 401),
        (TOKEN, "GET", b"/readyz", NONE, 401),
        (TOKEN, "GET", b"/openapi.json", NONE, 401),
        (TOKEN, "GET", b"/healthz", NONE, 200),
        (TOKEN, "GET", b"/healthz", BAD, 200),
        (TOKEN, "GET", b"/", NONE, 200),
        (TOKEN, "GET", b"/static/js/app.js", NONE, 200),
        (TOKEN, "GET", b"/healthz/", NONE, 401),
        (TOKEN, "GET", b"/HEALTHZ", NONE, 401),
    ],
)
def test_tokens__are_asked_for_as_the_access_says(
    tmp_path: Path, token: str, access: Access, method: str, path: bytes, given: str, status: int
) -> None:
    sent = {
        NONE: (),
        GOOD: ((b"authorization", b"Bearer " + token.encode()),),
        BAD: ((b"authorization", b"Bearer x"),),
    }
    guard = Tokens(Inner(), access, TokenBook(tmp_path / FILE_NAME), LIMITS, Buckets(9))
    answered = ask(guard, scope_of(method, path, (HOST, *sent[given])))
    assert answered.status == status
    if status == 401:
        assert answered.headers["www-authenticate"].startswith("Bearer")
        assert answered.error["type"] == "authentication_error"
        assert token not in answered.body.decode()


@given(st.binary(max_size=200))
def test_token_in__any_header_is_read(header: bytes) -> None:
    found = token_in(header)
    assert found is None or header[:6].lower() == b"bearer"


def test_tokens__two_authorizations_are_refused(tmp_path: Path, token: str) -> None:
    header = (b"authorization", b"Bearer " + token.encode())
    guard = Tokens(Inner(), TOKEN, TokenBook(tmp_path / FILE_NAME), LIMITS, Buckets(9))
    assert ask(guard, scope_of(headers=(HOST, header, header))).status == 400


def test_tokens__who_guesses_waits_and_who_knows_one_does_not(tmp_path: Path, token: str) -> None:
    guard = Tokens(Inner(), TOKEN, TokenBook(tmp_path / FILE_NAME), LIMITS, Buckets(9, Clock()))
    bad = scope_of(headers=(HOST, (b"authorization", b"Bearer guess")), client="192.0.2.7")
    statuses = [ask(guard, bad).status for _ in range(15)]
    assert statuses == [401] * 10 + [429] * 5
    good = scope_of(headers=(HOST, (b"authorization", b"Bearer " + token.encode())), client="192.0.2.7")
    assert (client_host(good), ask(guard, good).status) == ("192.0.2.7", 200)


def test_token_commands__make_list_and_revoke(tmp_path: Path) -> None:
    (tmp_path / "localnet").mkdir(mode=0o700)
    made = deltamesh("token", "new", "alice", "--home", tmp_path)
    assert made.code == 0
    assert made.out.startswith("dm_")
    assert "cannot be shown again" in made.err
    listed = deltamesh("token", "list", "--home", tmp_path)
    assert "alice" in listed.out
    assert made.out.strip() not in listed.out
    assert deltamesh("token", "new", "alice", "--home", tmp_path).code == 3
    assert deltamesh("token", "revoke", "alice", "--home", tmp_path).code == 0
    assert "deltamesh token new NAME" in deltamesh("token", "list", "--home", tmp_path).err
    assert deltamesh("token", "revoke", "alice", "--home", tmp_path).code == 3
