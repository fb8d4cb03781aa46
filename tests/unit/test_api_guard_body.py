"""Bodies and their JSON: bounded before they are parsed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.api.errors import ApiError
from node.api.guard.body import Body
from node.api.guard.json_shape import checked_json
from node.api.guard.limits import Limits
from node.api.guard.rate import CHARGE
from tests.support.asgi import HOST, JSON, Inner, ask, asked, post, scope_of

SEARCH, EMBEDDINGS = b"/v1/search", b"/v1/embeddings"
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def counted(document: Any) -> int:
    """Values in a document but the outermost, as the bound counts them: an empty container is one more."""
    parts = list(document.values()) if isinstance(document, dict) else document
    if not isinstance(parts, list):
        return 0
    return max(1, len(parts)) + sum(map(counted, parts))


def depth(document: Any) -> int:
    parts = document.values() if isinstance(document, dict) else document
    if not isinstance(document, dict | list):
        return 0
    return 1 + max(map(depth, parts), default=0)


@given(DOCUMENTS.filter(lambda found: "\ud800" not in repr(found)))
def test_checked_json__within_its_bounds_is_what_json_reads(document: Any) -> None:
    body = json.dumps(document).encode()
    read = checked_json(body, depth_max=depth(document), elements_max=counted(document))
    assert read == json.loads(body)


@given(DOCUMENTS.filter(lambda found: isinstance(found, dict | list)))
def test_checked_json__refuses_one_element_and_one_level_more(document: Any) -> None:
    body = json.dumps(document).encode()
    with pytest.raises(ApiError, match="values") as refused:
        checked_json(body, depth_max=99, elements_max=counted(document) - 1)
    assert refused.value.status == 400
    with pytest.raises(ApiError, match="nested") as refused:
        checked_json(body, depth_max=depth(document) - 1, elements_max=counted(document))
    assert refused.value.status == 400


@given(st.binary(max_size=200) | st.text(alphabet='[]{},:"\\ue1d80n ', max_size=200).map(str.encode))
def test_checked_json__any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(ApiError):
        checked_json(body, depth_max=8, elements_max=50)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"[]," * 1_000_000 + b"[]]",
        b'{"input":[' + b'"a",' * 999_999 + b'"a"]}',
        b'"' + b'\\"' * 2_000_000,
        b'"\\' * 1_000_000,
        b"[NaN]",
        b"[1e999]",
        b"[Infinity]",
        b'"\\ud800"',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b"9" * 60_000,
        b"",
        b"\xef\xbb\xbf{}",
        b"{} {}",
    ],
    ids=lambda body: f"{body[:8]!r} {len(body)}",
)
def test_checked_json__hostile_bodies_are_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        checked_json(body, depth_max=32, elements_max=8_192)
    assert refused.value.status == 400


SMALL = Limits(body_bytes_max=100, embeddings_bytes_max=1_000, bodies_bytes_max=1_000)


@given(
    st.lists(st.binary(max_size=60), min_size=1, max_size=6), st.sampled_from(["none", "length", "chunked"])
)
def test_body__reaches_the_application_whole_or_not_at_all(parts: list[bytes], told: str) -> None:
    inner = Inner()
    size = sum(map(len, parts))
    headers = {
        "none": (),
        "length": ((b"content-length", b"%d" % size),),
        "chunked": ((b"transfer-encoding", b"chunked"),),
    }[told]
    answered = ask(Body(inner, SMALL), scope_of("GET", SEARCH, (HOST, *headers)), parts)
    if told == "none" or size == 0:
        assert (answered.status, inner.bodies) == (200, [b""])
    else:
        assert answered.status == (413 if size > 100 else 400)
        assert inner.bodies == []


@pytest.mark.parametrize(("path", "most"), [(SEARCH, 100), (EMBEDDINGS, 1_000)])
@pytest.mark.parametrize("chunked", [False, True])
def test_body__has_the_bound_of_its_path(path: bytes, most: int, chunked: bool) -> None:
    for size, status in ((most, 200), (most + 1, 413)):
        body = b'"' + b"a" * (size - 2) + b'"'
        scope = post(path, body)
        if chunked:
            scope["headers"] = [HOST, JSON, (b"transfer-encoding", b"chunked")]
        inner = Inner()
        answered = ask(Body(inner, SMALL), scope, [body[:50], body[50:]])
        assert answered.status == status
        assert inner.bodies == ([body] if status == 200 else [])
        assert status == 200 or answered.headers["connection"] == "close"


def test_body__said_to_be_too_large_is_refused_before_it_is_read() -> None:
    scope = scope_of("POST", SEARCH, (HOST, JSON, (b"content-length", b"101")))
    assert ask(Body(Inner(), SMALL), scope, ()).status == 413


@pytest.mark.parametrize("length", [b"-1", b"+5", b"1e3", b" 5", b"0x5", b"9" * 20, b""])
def test_body__whose_length_is_no_number_is_refused(length: bytes) -> None:
    scope = scope_of("POST", SEARCH, (HOST, JSON, (b"content-length", length)))
    assert ask(Body(Inner(), SMALL), scope).status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([JSON], 200),
        ([(b"content-type", b"application/json; charset=utf-8")], 200),
        ([(b"content-type", b'APPLICATION/JSON;charset="UTF-8"')], 200),
        ([], 415),
        ([(b"content-type", b"text/plain")], 415),
        ([(b"content-type", b"application/x-www-form-urlencoded")], 415),
        ([(b"content-type", b"application/json; charset=utf-16")], 415),
        ([JSON, JSON], 400),
        ([JSON, (b"content-encoding", b"gzip")], 415),
        ([JSON, (b"content-encoding", b"identity")], 200),
    ],
)
def test_body__is_read_only_as_json(headers: list[tuple[bytes, bytes]], status: int) -> None:
    scope = scope_of("POST", SEARCH, (HOST, (b"content-length", b"2"), *headers))
    assert ask(Body(Inner(), SMALL), scope, [b"{}"]).status == status


def test_body__all_that_is_held_at_one_time_is_bounded_and_let_go() -> None:
    body = b'"' + b"a" * 598 + b'"'
    guard = Body(Inner(), SMALL)
    answers: list[int] = []

    async def nested(scope: Any, receive: Any, send: Any) -> None:
        # While the first body is held, another comes.
        if not answers:
            answers.append(0)
            answers.append((await asked(guard, post(EMBEDDINGS, body), [body])).status)
        await Inner()(scope, receive, send)

    guard._app = nested
    assert ask(guard, post(EMBEDDINGS, body), [body]).status == 200
    assert answers == [0, 429]
    assert ask(guard, post(EMBEDDINGS, body), [body]).status == 200


@pytest.mark.parametrize(
    ("document", "units"),
    [({"input": "one"}, 1), ({"input": ["a"] * 7}, 7), ({"input": []}, 0), ({}, 1), ([], 1), ("x", 1)],
)
def test_body__inputs_are_charged(document: Any, units: int) -> None:
    charged: list[int] = []
    body = json.dumps(document).encode()
    scope = {**post(EMBEDDINGS, body), CHARGE: charged.append}
    ask(Body(Inner(), SMALL), scope, [body])
    assert charged == [units]


def test_body__of_a_client_that_is_gone_reaches_nobody() -> None:
    inner = Inner()
    scope = post(SEARCH, b"{}")
    with pytest.raises(AssertionError):  # nothing is answered
        ask(Body(inner, SMALL), scope, ())
    assert inner.scopes == []
