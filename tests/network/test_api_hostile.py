"""The API's server on a socket against those who mean it no good: a refusal or a closed line, never more."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from node.api.guard.limits import Limits
from node.api.guard.tokens import FILE_NAME, new_token
from tests.support.api import service_over
from tests.support.api_server import PATIENCE_S, api

pytestmark = pytest.mark.network

HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"
IMPATIENT = Limits(head_s=0.4, body_s=0.4, write_s=0.4, linger_s=1.0, connections_max=12, pipelined_max=4)


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with service_over(tmp_path_factory.mktemp("api")) as service, api(service, IMPATIENT) as address:
        yield address


def talk(address: tuple[str, int], *parts: bytes, half_close: bool = False) -> bytes:
    """What comes back until the server closes. Fails when it never does."""
    with socket.create_connection(address, timeout=PATIENCE_S) as line:
        with suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                line.sendall(part)
        if half_close:
            line.shutdown(socket.SHUT_WR)
        got = bytearray()
        try:
            while part := line.recv(65_536):
                got += part
        except ConnectionResetError:
            pass
        except TimeoutError:
            pytest.fail(f"the line stays open: {bytes(got[:200])!r}")
        return bytes(got)


def answers_a_good_client(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
    connection.request("GET", "/v1/status")
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status == 200 and body["role"] == "validator"


def posted(path: bytes, body: bytes, headers: bytes = JSON + CLOSE) -> bytes:
    return b"POST %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (path, headers, len(body), body)


def asked(path: bytes, headers: bytes = HOST + CLOSE, method: bytes = b"GET") -> bytes:
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (method, path, headers)


SEARCH = b"POST /v1/search HTTP/1.1\r\n" + JSON
ROOT = b"POST / HTTP/1.1\r\n" + HOST
ELSEWHERE = b"Origin: http://evil.example\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
HOSTILE = {
    "ten megabytes": ((posted(b"/v1/embeddings", b"x" * 10_000_000),), {413}),
    "ten megabytes in chunks": (
        (b"POST /v1/embeddings HTTP/1.1\r\n" + JSON + CHUNKED + b"\r\n", *[CHUNK] * 153),
        {413},
    ),
    "ten megabytes elsewhere": ((posted(b"/v1/search", b"x" * 10_000_000),), {413}),
    "ten megabytes announced": (
        (b"POST /v1/embeddings HTTP/1.1\r\n" + JSON + b"Content-Length: 10000000\r\n\r\n",),
        {413},
    ),
    "a million inputs": ((posted(b"/v1/embeddings", b'{"input":[' + b'"a",' * 999_999 + b'"a"]}'),), {400}),
    "deep arrays": ((posted(b"/v1/embeddings", b"[" * 1_000_000),), {400}),
    "deep objects": ((posted(b"/v1/embeddings", b'{"a":' * 10_000),), {400}),
    "deep and closed": ((posted(b"/v1/embeddings", b"[" * 4_000 + b"]" * 4_000),), {400}),
    "a string without end": ((posted(b"/v1/embeddings", b'"' + b'\\"' * 1_000_000),), {400}),
    "half a pair": ((posted(b"/v1/embeddings", b'{"input":"\\ud800"}'),), {400}),
    "not a number": ((posted(b"/v1/embeddings", b'{"input":NaN}'),), {400}),
    "a head that never ends": ((b"GET / HTTP/1.1\r\nX: ",), {408}),
    "nothing at all": ((), set()),
    "a body that never comes": (
        (SEARCH + b"Content-Length: 9\r\n\r\n{",),
        {408},
    ),
    "a header without end": ((b"GET / HTTP/1.1\r\nX: ", *[b"a" * 65_536] * 20), {431}),
    "headers without end": ((b"GET / HTTP/1.1\r\n", *[b"X: " + b"a" * 8_000 + b"\r\n"] * 100), {431}),
    "a path without end": ((b"GET /" + b"a" * 600_000,), {431}),
    "a long path": ((asked(b"/" + b"a" * 5_000),), {414}),
    "no host": ((asked(b"/v1/status", CLOSE),), {400}),
    "two hosts": ((asked(b"/v1/status", HOST + HOST + CLOSE),), {400}),
    "another host": ((asked(b"/v1/status", b"Host: evil.example\r\n"),), {421}),
    "a page elsewhere": (
        (posted(b"/v1/embeddings", b"{}", JSON + ELSEWHERE + CLOSE),),
        {403},
    ),
    "a form": (
        (posted(b"/v1/embeddings", b"{}", HOST + CLOSE + b"Content-Type: text/plain\r\n"),),
        {415},
    ),
    "another protocol": ((b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 40,), {400}),
    "the next version": ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), {400}),
    "two lengths": (
        (ROOT + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",),
        {400},
    ),
    "a length and chunks": (
        (
            b"POST / HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        {400},
    ),
    "a strange coding": ((ROOT + b"Transfer-Encoding: xchunked\r\n\r\nabc",), {400}),
    "a bad chunk": (
        (SEARCH + CHUNKED + b"\r\nzz\r\n",),
        {400},
    ),
    "a huge chunk": (
        (b"POST /v1/search HTTP/1.1\r\n" + JSON + CHUNKED + b"\r\nfffffffffffffffff\r\n",),
        {400},
    ),
    "bare line feeds": ((b"GET /v1/status HTTP/1.1\nHost: localhost\n\n",), {400}),
    "a folded header": ((b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",), {400}),
    "a tunnel": ((b"CONNECT evil.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",), {400}),
    "a trace": ((asked(b"/v1/status", method=b"TRACE"),), {405}),
    "options": ((asked(b"/v1/status", method=b"OPTIONS"),), {405}),
    "delete": ((asked(b"/v1/status", method=b"DELETE"),), {405}),
    "post to what is read": ((posted(b"/v1/status", b"{}"),), {405}),
    "a pipeline": ((asked(b"/v1/status", HOST) * 500,), set()),
    **{
        f"path {path!r}": ((asked(path),), {400, 404})
        for path in (
            b"/../key",
            b"/%2e%2e/key",
            b"/static/..%2f..%2fkey",
            b"//v1/status",
            b"/v1/status%00",
            b"/%c0%ae%c0%ae/key",
            b"/\xc0\xae",
            b"/V1/STATUS",
            b"/v1/status/",
            b"/v1/rounds/-1",
            b"/v1/rounds/99999999999999999999999999",
            b"/v1/rounds?limit=-1",
            b"/v1/rounds?limit=%00",
            b"/v1/items/%2e%2e",
            b"*",
        )
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_request__gets_a_refusal_and_the_good_client_its_answer(
    server: tuple[str, int], name: str
) -> None:
    parts, statuses = HOSTILE[name]
    got = talk(server, *parts)
    found = {int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", got, re.MULTILINE)}
    assert found <= statuses if not statuses else found and found <= statuses, got[:300]
    head, _, body = got.partition(b"\r\n\r\n")
    if found:
        assert json.loads(body)["error"]["message"]
        assert b"server:" not in head.lower()
        assert b"nosniff" in head
    assert answers_a_good_client(server)


def test_pipeline__within_its_bound_is_answered_in_order(server: tuple[str, int]) -> None:
    got = talk(server, asked(b"/v1/status", HOST), asked(b"/nothing", HOST), asked(b"/healthz"))
    assert re.findall(rb"HTTP/1\.1 (\d{3})", got) == [b"200", b"404", b"200"]


def test_half_closed_client__is_answered_or_let_go(server: tuple[str, int]) -> None:
    talk(server, asked(b"/v1/status", HOST), half_close=True)
    talk(server, SEARCH + b"Content-Length: 9\r\n\r\n{", half_close=True)
    assert answers_a_good_client(server)


def test_upgrade__is_ignored_and_the_line_closed(server: tuple[str, int]) -> None:
    got = talk(server, asked(b"/v1/status", HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n"))
    assert got.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in got


def test_trailers__are_no_headers(tmp_path: Path) -> None:
    token = new_token_in(tmp_path)
    with service_over(tmp_path, api_access="token") as service, api(service, IMPATIENT) as server:
        chunked = b"GET /v1/status HTTP/1.1\r\n" + HOST + CLOSE + CHUNKED + b"\r\n"
        trailer = b"Authorization: Bearer " + token + b"\r\n"
        assert talk(server, chunked + b"0\r\n" + trailer + b"\r\n").startswith(b"HTTP/1.1 401")
        assert talk(server, asked(b"/v1/status", HOST + CLOSE + trailer)).startswith(b"HTTP/1.1 200")
        bad = HOST + CLOSE + b"Authorization: Bearer " + token[:-1] + b"\r\n"
        assert talk(server, asked(b"/v1/status", bad)).startswith(b"HTTP/1.1 401")
        for header in (b"Basic " + token, b"Bearer", b"Bearer \xff", b"Bearer " + b"a" * 9_000):
            line = HOST + CLOSE + b"Authorization: " + header + b"\r\n"
            assert talk(server, asked(b"/v1/status", line)).startswith(b"HTTP/1.1 401")


def new_token_in(home: Path) -> bytes:
    (home / "localnet").mkdir(mode=0o700, exist_ok=True)
    return new_token(home / "localnet" / FILE_NAME, "a").encode()


def test_slow_clients__all_at_once_leave_room_for_a_good_one(server: tuple[str, int]) -> None:
    # As many as connections are allowed, each in the middle of a head: they are let go, and places come back.
    slow = [socket.create_connection(server, timeout=PATIENCE_S) for _ in range(IMPATIENT.connections_max)]
    try:
        for line in slow:
            line.sendall(b"GET /v1/status HTTP/1.1\r\n")
        refused = talk(server, asked(b"/v1/status"))
        assert refused == b"" or refused.startswith((b"HTTP/1.1 429", b"HTTP/1.1 200"))
        for line in slow:
            assert line.recv(65_536).startswith((b"HTTP/1.1 408", b"HTTP/1.1 429"))
    finally:
        for line in slow:
            line.close()
    assert answers_a_good_client(server)


def test_client__that_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    with service_over(tmp_path) as service, api(service, IMPATIENT) as server:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            deaf.settimeout(PATIENCE_S)
            deaf.connect(server)
            request = asked(b"/openapi.json", HOST)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                ask_for_ever(deaf, request)
        assert answers_a_good_client(server)


def ask_for_ever(line: socket.socket, request: bytes) -> None:
    """One after the other: each is answered until the answers fill every buffer on the way."""
    for _ in range(100_000):
        line.sendall(request)
