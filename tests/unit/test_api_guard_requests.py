"""First lines, hosts and origins, rates, load, headers and faults: each guard alone, then all together."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from node.api.app import make_guarded_app
from node.api.guard.buckets import Buckets, client_of, is_local
from node.api.guard.faults import Faults
from node.api.guard.headers import SecurityHeaders
from node.api.guard.limits import Limits, Rate, cost_of
from node.api.guard.load import Load
from node.api.guard.origin import Origin
from node.api.guard.rate import CHARGE, RateLimit
from node.api.guard.shape import Shape
from tests.support.api import service_over
from tests.support.asgi import HOST, JSON, Inner, ask, asked, post, scope_of

LIMITS = Limits()


# --- first lines


@given(st.binary(max_size=60).map(lambda tail: b"/" + tail))
def test_path__that_reaches_the_application_needs_no_decoding_and_leads_nowhere_else(path: bytes) -> None:
    inner = Inner()
    status = ask(Shape(inner, LIMITS), scope_of(path=path)).status
    segments = path.split(b"/")[1:]
    plain = unquote_to_bytes(path) == path and re.fullmatch(rb"[A-Za-z0-9/._~-]+", path) is not None
    good = plain and b"." not in segments and b".." not in segments and b"" not in segments[:-1]
    assert status == (200 if good else 400)
    assert bool(inner.scopes) is good


@pytest.mark.parametrize(
    "path",
    [
        b"//v1/status",
        b"/v1//status",
        b"/v1/../metrics",
        b"/..",
        b"/v1/./status",
        b"/%2e%2e/key",
        b"/v1%2fstatus",
        b"/static/%2e%2e%2fkey",
        b"/v1/status%00",
        b"/v1/status\x00",
        b"/%c0%af",
        b"/\xc0\xaf",
        b"/v1/\\..\\key",
        b"/%252e%252e/",
        b"*",
        b"",
        b"v1/status",
        b"/v1/status;a=b",
        b"/v1/status\r\nX: y",
    ],
)
def test_path__tricks_are_refused(path: bytes) -> None:
    assert ask(Shape(Inner(), LIMITS), scope_of(path=path)).status == 400


@pytest.mark.parametrize("path", [b"/", b"/v1/status", b"/v1/rounds/7", b"/static/js/app.js", b"/v1/status/"])
def test_path__of_the_api_passes(path: bytes) -> None:
    assert ask(Shape(Inner(), LIMITS), scope_of(path=path)).status == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"limit=20&before=3", 200),
        (b"kinds=a%2Cb", 200),
        (b"q=%C3%A9", 200),
        (b"q=%c0%af", 400),
        (b"q=%ed%a0%80", 400),
        (b"q=%00", 400),
        (b"q=%zz", 400),
        (b"q=%", 400),
        (b"q=\x7f", 400),
        (b"a" * 4_096, 200),
        (b"a" * 4_097, 414),
    ],
)
def test_query__is_text(query: bytes, status: int) -> None:
    assert ask(Shape(Inner(), LIMITS), scope_of(query=query)).status == status


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"])
def test_method__that_is_not_served_is_refused(method: str) -> None:
    answered = ask(Shape(Inner(), LIMITS), scope_of(method))
    assert (answered.status, answered.headers["allow"]) == (405, "GET, HEAD, POST, DELETE")


def test_head__is_answered_as_get_without_its_body_and_ends_a_stream() -> None:
    heard: list[str] = []

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["method"] == "GET"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"never", "more_body": True})
        heard.append((await receive())["type"])

    scope = scope_of("HEAD")
    answered = ask(Shape(stream, LIMITS), scope)
    assert (answered.status, answered.body, heard) == (200, b"", ["http.disconnect"])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"path": b"/" + b"a" * 1_023}, 200),
        ({"path": b"/" + b"a" * 1_024}, 414),
        ({"headers": [HOST] + [(b"x", b"")] * 63}, 200),
        ({"headers": [HOST] + [(b"x", b"")] * 64}, 431),
        ({"headers": [HOST, (b"x", b"a" * 16_384)]}, 431),
        ({"version": "2"}, 400),
        ({"version": "0.9"}, 400),
        ({"version": "1.0"}, 200),
    ],
)
def test_head_of_a_request__is_bounded(changes: dict[str, Any], status: int) -> None:
    assert ask(Shape(Inner(), LIMITS), scope_of(**changes)).status == status


# --- hosts and origins


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (b"127.0.0.1:7780", 200),
        (b"127.0.0.1", 200),
        (b"localhost:7780", 200),
        (b"LOCALHOST", 200),
        (b"[::1]:7780", 200),
        (b"evil.example", 421),
        (b"evil.example:7780", 421),
        (b"127.0.0.1.evil.example", 421),
        (b"localhost.evil.example", 421),
        (b"192.0.2.1:7780", 421),
        (b"0.0.0.0", 421),
        (b"[::ffff:192.0.2.1]", 421),
        (b"", 400),
        (b"a b", 400),
        (b"user@localhost", 400),
        (b"localhost:port", 400),
    ],
)
def test_host__on_loopback_is_this_machine(host: bytes, status: int) -> None:
    assert ask(Origin(Inner(), loopback=True), scope_of(headers=[(b"host", host)])).status == status


def test_host__elsewhere_is_any_but_given_once() -> None:
    guard = Origin(Inner(), loopback=False)
    assert ask(guard, scope_of(headers=[(b"host", b"node.example")])).status == 200
    assert ask(guard, scope_of(headers=[])).status == 400
    assert ask(guard, scope_of(headers=[HOST, HOST])).status == 400


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"origin", b"http://127.0.0.1:7780"), 200),
        ((b"origin", b"http://127.0.0.1:1"), 403),
        ((b"origin", b"http://evil.example"), 403),
        ((b"origin", b"null"), 403),
        ((b"origin", b"http://[bad"), 403),
        ((b"origin", b"\xff"), 403),
        ((b"sec-fetch-site", b"same-origin"), 200),
        ((b"sec-fetch-site", b"none"), 200),
        ((b"sec-fetch-site", b"same-site"), 403),
        ((b"sec-fetch-site", b"cross-site"), 403),
    ],
)
def test_origin__pages_of_others_may_not_submit(header: tuple[bytes, bytes], status: int) -> None:
    guard = Origin(Inner(), loopback=True)
    for method in ("POST", "DELETE"):
        assert ask(guard, scope_of(method, headers=[HOST, header])).status == status
    assert ask(guard, scope_of("GET", headers=[HOST, header])).status == 200


# --- rates


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=40))
def test_bucket__never_gives_more_than_it_holds_and_what_flows_in(asks: list[tuple[float, int]]) -> None:
    clock, rate, given_units = Clock(), Rate(4.0, 20), 0
    buckets = Buckets(5, clock)
    for pause_s, units in asks:
        clock.now_s += pause_s
        wait_s = buckets.take("a", units, rate)
        if wait_s == 0:
            given_units += min(units, rate.units_max)
        else:
            clock.now_s += wait_s + 1e-6
            assert buckets.take("a", units, rate) == 0, "what it says to wait is enough"
            given_units += min(units, rate.units_max)
        assert given_units <= rate.units_max + clock.now_s * rate.units_per_s + 1e-6


@given(st.lists(st.integers(0, 50), max_size=200))
def test_buckets__are_bounded_and_forget_who_was_longest_unseen(clients: list[int]) -> None:
    buckets = Buckets(8, Clock())
    for client in clients:
        buckets.take(str(client), 1, Rate(1, 1))
    newest = list(dict.fromkeys(reversed(clients)))[:8]
    assert len(buckets) == len(newest)
    assert all(buckets.take(str(client), 1, Rate(1, 1)) > 0 for client in newest)


@pytest.mark.parametrize(
    ("host", "client", "local"),
    [
        ("192.0.2.7", "192.0.2.7", False),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64", False),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64", False),
        ("fe80::1%eth0", "fe80::/64", False),
        ("::ffff:192.0.2.7", "192.0.2.7", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.0.0.9", "127.0.0.9", True),
        ("::1", "::/64", True),
        ("", "", True),
    ],
)
def test_client__is_an_address_or_an_ipv6_network(host: str, client: str, local: bool) -> None:
    assert (client_of(host, None), is_local(host)) == (client, local)
    assert client_of(host, "alice") == "token alice"


def test_rate_limit__says_when_to_come_back_and_leaves_others_and_health_alone() -> None:
    clock = Clock()
    limits = Limits(stranger=Rate(2.0, 5))
    guard = RateLimit(Inner(), limits, Buckets(9, clock))
    scope = scope_of(client="192.0.2.7")
    assert [ask(guard, scope).status for _ in range(6)] == [200] * 5 + [429]
    refused = ask(guard, scope)
    assert refused.headers["retry-after"] == "1"
    assert refused.error["type"] == "rate_limit_error"
    assert ask(guard, scope_of(client="192.0.2.8")).status == 200
    assert ask(guard, scope_of(path=b"/healthz", client="192.0.2.7")).status == 200
    clock.now_s = 1.0
    assert [ask(guard, scope).status for _ in range(3)] == [200, 200, 429]


def test_rate_limit__the_application_can_charge_more() -> None:
    inner = Inner()
    guard = RateLimit(inner, Limits(stranger=Rate(1.0, 10)), Buckets(9, Clock()))
    ask(guard, scope_of(client="192.0.2.7"))
    inner.scopes[0][CHARGE](9)
    assert ask(guard, scope_of(client="192.0.2.7")).status == 429


def test_cost__grows_with_the_work() -> None:
    paths = ["/v1/status", "/metrics", "/v1/search", "/v1/map", "/v1/reports/ab/bundle"]
    assert [cost_of(path) for path in paths] == [1, 5, 10, 20, 25]


# --- load, headers, faults


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        (Limits(requests_max=1), b"/v1/status"),
        (Limits(listeners_max=1), b"/v1/events"),
        (Limits(listeners_per_client_max=1), b"/v1/events"),
    ],
)
def test_load__one_too_many_is_refused_and_places_come_back(limits: Limits, path: bytes) -> None:
    async def scenario() -> list[int]:
        entered, leave = asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            entered.set()
            await leave.wait()
            await Inner()(scope, receive, send)

        guard, scope = Load(slow, limits), scope_of(path=path, client="192.0.2.7")
        first = asyncio.create_task(asked(guard, scope))
        await entered.wait()
        second = await asked(guard, scope)
        health = asyncio.create_task(asked(guard, scope_of(path=b"/healthz")))
        await asyncio.sleep(0)
        leave.set()
        answered = [(await first).status, second.status, (await health).status]
        return [*answered, (await asked(guard, scope)).status]

    assert asyncio.run(scenario()) == [200, 429, 200, 200]


def test_headers__protect_every_answer_and_name_no_software() -> None:
    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"Server", b"x/1"), (b"content-security-policy", b"default-src 'self'")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    own = ask(SecurityHeaders(answering), scope_of()).headers
    assert "server" not in own
    assert own["content-security-policy"] == "default-src 'self'"
    added = ask(SecurityHeaders(Inner()), scope_of()).headers
    assert added["x-content-type-options"] == "nosniff"
    assert added["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in added["content-security-policy"]


def test_faults__are_told_by_an_id_and_logged_with_a_traceback() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("a secret")

    with capture_logs() as logs:
        answered = ask(
            Faults(broken), scope_of(path=b"/v1/x\n", headers=[HOST, (b"authorization", b"Bearer t0ken")])
        )
    assert answered.status == 500
    assert b"secret" not in answered.body
    (line,) = logs
    assert line["event"] == "api.fault"
    assert line["exc_info"]
    assert line["id"] in answered.error["message"]
    assert "t0ken" not in str(line)


# --- together


def test_guarded_app__answers_the_good_and_refuses_the_rest_in_one_form(tmp_path: Path) -> None:
    with service_over(tmp_path) as service:
        app = make_guarded_app(service)
        assert ask(app, scope_of()).status == 200
        deep = b"[" * 60_000
        bad = {
            "path": (scope_of(path=b"/v1//status"), b"", 400),
            "host": (scope_of(headers=[(b"host", b"evil.example")]), b"", 421),
            "origin": (post(b"/v1/embeddings", b"{}", (b"origin", b"http://evil.example")), b"{}", 403),
            "deep": (post(b"/v1/embeddings", deep), deep, 400),
            "method": (scope_of("TRACE"), b"", 405),
            "nothing there": (scope_of(path=b"/v1/nothing"), b"", 404),
            "kind": (scope_of("POST", b"/v1/embeddings", [HOST, (b"content-length", b"2")]), b"{}", 415),
            "fields": (post(b"/v1/embeddings", b'{"input":{"a":1}}'), b'{"input":{"a":1}}', 400),
            "body of get": (scope_of(headers=[HOST, JSON, (b"content-length", b"2")]), b"{}", 400),
        }
        for name, (scope, body, status) in bad.items():
            answered = ask(app, scope, [body])
            assert answered.status == status, name
            assert answered.error["message"], name
            assert answered.headers["x-content-type-options"] == "nosniff", name


def test_guarded_app__a_fault_inside_is_a_500_of_the_same_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service_over(tmp_path) as service:
        app = make_guarded_app(service)

        def broken() -> int:
            raise ZeroDivisionError

        monkeypatch.setattr(service.store, "newest_epoch", broken)
        with capture_logs() as logs:
            answered = ask(app, scope_of())
    assert answered.status == 500
    assert answered.error["type"] == "server_error"
    assert [line["event"] for line in logs] == ["api.fault"]
