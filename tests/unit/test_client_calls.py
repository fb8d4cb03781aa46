"""The client's calls: answers read within bounds, errors in the server's words, retries, pages, events."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.client import (
    AsyncClient,
    BadAnswerError,
    Cache,
    Client,
    ClientError,
    InvalidRequestError,
    NotAllowedError,
    OverloadedError,
    Retrying,
    ServerError,
    TimedOutError,
    UnreachableError,
)
from node.client.call import Call, raw
from node.client.retrying import RETRY_AFTER_MAX_S, retry_after_s
from node.client.sse import EVENT_BYTES_MAX, Event, EventReader
from tests.support.served_api import in_memory, round_service
from tests.support.told_by_api import Chunks, ToldByApi, response, world

Answer = Callable[[httpx.Request], httpx.Response]


class Script:
    """Answers one after the other; the last for ever."""

    def __init__(self, *answers: httpx.Response | Exception | Answer) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer(request)


def client_of(handler: Answer, **options: Any) -> Client:
    quick = Retrying(first_s=0.001, longest_s=0.002, draw=random.Random(1))
    return Client(
        "validator.test:7780/",
        cache=Cache.NONE,
        transport=httpx.MockTransport(handler),
        **{"retrying": quick, **options},
    )


def refused(status: int, **headers: str) -> Answer:
    error = {
        "message": "too \x1b[31mmany: come back",
        "type": "rate_limit_error",
        "param": "input",
        "code": None,
    }
    return lambda _: response(status, json.dumps({"error": error}).encode(), **headers)


def peers(*keys: str, following: str | None = None) -> Answer:
    told = [
        {"public_key": key, "role": "encoder", "address": "", "outbound": True, "since_ms": 1, "penalty": 0.0}
        for key in keys
    ]
    page = {"total": 9, "updated_ms": 1, "peers": told, "next_after": following}
    return lambda _: response(200, json.dumps(page).encode())


# -- errors and retries ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidRequestError), (401, NotAllowedError), (403, NotAllowedError), (500, ServerError)],
)
def test_refusal__is_raised_in_the_servers_words_and_not_repeated(
    status: int, kind: type[ServerError]
) -> None:
    script = Script(refused(status))
    with client_of(script) as client, pytest.raises(kind, match="come back") as raised:
        client.genesis()
    found = raised.value
    assert (found.status, found.type, found.param, found.code) == (status, "rate_limit_error", "input", None)
    assert "\x1b" not in str(found)
    assert len(script.asked) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_overload__is_waited_out(status: int) -> None:
    script = Script(refused(status), refused(status, Retry_After="0"), lambda _: response(200, b"genesis"))
    with client_of(script) as client:
        assert client.genesis() == b"genesis"
    assert len(script.asked) == 3


def test_overload_without_end__is_given_up() -> None:
    script = Script(refused(429))
    with client_of(script) as client, pytest.raises(OverloadedError):
        client.genesis()
    assert len(script.asked) == 5


def test_long_pause_asked_for__is_not_waited_for() -> None:
    script = Script(refused(503, Retry_After="86400"))
    with client_of(script) as client, pytest.raises(OverloadedError) as raised:
        client.genesis()
    assert (len(script.asked), raised.value.retry_after_s) == (1, 86400.0)


def test_broken_connection__is_made_again() -> None:
    script = Script(
        httpx.ConnectError("refused"), httpx.ReadError("cut"), lambda _: response(200, b"genesis")
    )
    with client_of(script) as client:
        assert client.genesis() == b"genesis"
    with (
        client_of(Script(httpx.ConnectError("refused"))) as client,
        pytest.raises(UnreachableError, match="nobody"),
    ):
        client.genesis()


def test_silence__is_a_timeout_and_not_repeated() -> None:
    script = Script(httpx.ReadTimeout("silent"))
    with client_of(script) as client, pytest.raises(TimedOutError, match="/v1/genesis"):
        client.genesis()
    assert len(script.asked) == 1


@given(attempt=st.integers(1, 100), asked_s=st.none() | st.floats(0, 1e6), seed=st.integers(0, 99))
def test_pauses__are_within_their_bounds_and_at_least_what_is_asked(
    attempt: int, asked_s: float | None, seed: int
) -> None:
    retrying = Retrying(attempts=9, draw=random.Random(seed))
    error = OverloadedError("busy", status=429, retry_after_s=asked_s)
    pause_s = retrying.pause_s(Call("GET", "/", raw), attempt, error)
    if attempt >= 9 or (asked_s or 0) > RETRY_AFTER_MAX_S:
        assert pause_s is None
    else:
        assert pause_s is not None
        assert (asked_s or 0) < pause_s <= (asked_s or 0) + 8


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("yesterday", None),
        ("-1", None),
        (None, None),
        ("9" * 99, None),
    ],
)
def test_retry_after__is_seconds_or_a_date(header: str | None, expected_s: float | None) -> None:
    assert retry_after_s(header, 10.0) == expected_s


# -- what is read ------------------------------------------------------------------------------------------


def test_answer_without_end__is_cut_off() -> None:
    read: list[int] = []

    class Endless(Chunks):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                read.append(1)
                yield bytes(1 << 20)

    for status in (200, 500):
        read.clear()
        with (
            client_of(lambda _, status=status: httpx.Response(status, stream=Endless(b""))) as client,
            pytest.raises(BadAnswerError, match="larger than"),
        ):
            client.genesis()
        assert len(read) <= 6


def test_redirect__is_not_followed_and_takes_no_token_along() -> None:
    script = Script(lambda _: response(302, b"", Location="http://elsewhere.test/"))
    with client_of(script, token="secret") as client, pytest.raises(ServerError, match="302"):
        client.genesis()
    assert [request.url.host for request in script.asked] == ["validator.test"]
    assert script.asked[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("token", ["", "a\nb", "ä"])
def test_token_that_is_none__is_refused_here(token: str) -> None:
    with pytest.raises(ClientError, match="no token"):
        Client("http://x", token)


def test_pages__are_followed_to_the_end_and_no_circle() -> None:
    keys = [f"{number:064x}" for number in range(4)]
    with client_of(Script(peers(*keys[:2], following=keys[1]), peers(*keys[2:]))) as client:
        assert [peer.public_key for peer in client.peers()] == keys
    with (
        client_of(Script(peers(*keys[:2], following=keys[1]))) as client,
        pytest.raises(BadAnswerError, match="circle"),
    ):
        list(client.peers())


def test_texts_of_many_calls__are_queued_first_and_come_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.embedding.TEXTS_PER_CALL", 3)
    texts = [item.decode() for item in world().batches[0].items]
    told, steps = ToldByApi(), list[tuple[int, int]]()
    with client_of(told) as client:
        found = client.embed(texts, on_embedded=lambda done, total: steps.append((done, total)))
    sent = [json.loads(request.content)["input"] for request in told.asked]
    assert [text for part in sent for text in part] == texts
    assert [request.headers["Prefer"][-6:] for request in told.asked] == ["wait=0"] * 4
    assert steps[-1] == (len(texts), len(texts))
    one = client_of(ToldByApi()).embed(texts[7:8])
    assert found.vectors[7].tobytes() == one.vectors[0].tobytes()


def test_space_that_changes_between_calls__is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.embedding.TEXTS_PER_CALL", 6)
    texts = [item.decode() for item in world().batches[0].items]
    told = ToldByApi(space=2)

    def lie(_: str, answer: Any) -> Any:
        told.space = 3
        return answer

    told.lie = lie
    with client_of(told) as client:
        found = client.embed(texts)
    assert (found.epoch, len(told.asked)) == (3, 4)


def test_embedding_under_way__is_waited_for_in_time_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.client.embedding.POLL_S", 0)
    job = {
        "object": "job",
        "id": "ab",
        "status": "queued",
        "done": 0,
        "total": 1,
        "created_ms": 1,
        "expires_ms": 2,
    }
    with (
        client_of(lambda _: response(202, json.dumps(job).encode())) as client,
        pytest.raises(TimedOutError, match="queued and will be"),
    ):
        client.embed(["text"], timeout_s=0)
    listed = ToldByApi().embeddings([world().text])
    script = Script(
        lambda _: response(202, json.dumps(job).encode()),
        lambda _: response(200, json.dumps({**job, "status": "dealt"}).encode()),
        refused(404),
        lambda _: response(202, json.dumps(job).encode()),
        lambda _: response(200, json.dumps({**job, "status": "done", "response": listed}).encode()),
    )
    with client_of(script) as client:
        assert client.embed([world().text]).items[0].served == "repeat"
    asked = [request.url.path for request in script.asked]
    assert asked == ["/v1/embeddings", "/v1/jobs/ab", "/v1/jobs/ab", "/v1/embeddings", "/v1/jobs/ab"]
    failed = {**job, "status": "failed", "error": {"message": "nobody answered it"}}
    with (
        client_of(lambda _: response(200, json.dumps(failed).encode())) as client,
        pytest.raises(ClientError, match="nobody answered it"),
    ):
        client.embed(["text"])


def test_what_cannot_be_embedded__is_said_before_anything_is_asked() -> None:
    script = Script(refused(500))
    with client_of(script, network_id=world().network_id) as client:
        for texts in ([], "one text", ["\ud800"]):
            with pytest.raises(ClientError):
                client.embed(texts, verify=True)
    assert script.asked == []


# -- events ------------------------------------------------------------------------------------------------

STREAM = (
    b': hello\r\n\r\nretry: 1\n\nid: 7\nevent: step\ndata: {"round":\ndata: 1}\n\n'
    b'id: 8\nevent: certified\ndata: {}\n\nevent: void\n\nid: 9\ndata: {"x": 1}\n\nid: 10\ndata: {"half'
)
EVENTS = [Event(7, "step", {"round": 1}), Event(8, "certified", {}), Event(9, "message", {"x": 1})]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events__are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    reader, found, start = EventReader(), list[Event](), 0
    for end in [*sorted(cuts), len(STREAM)]:
        found += reader.feed(STREAM[start:end])
        start = end
    assert found == EVENTS
    assert (reader.last_id, reader.retry_ms) == (9, 1)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_as_events__are_events_or_a_bad_answer(chunks: list[bytes]) -> None:
    with contextlib.suppress(BadAnswerError):
        read_all(chunks)


def read_all(chunks: list[bytes]) -> list[Event]:
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def test_event_without_end__is_cut_off() -> None:
    for chunk in (b"x" * 4096, b"data: 1\n" * 512):
        with pytest.raises(BadAnswerError, match="larger"):
            read_all([chunk] * (2 * EVENT_BYTES_MAX // len(chunk)))


def test_broken_stream__goes_on_after_the_last_event_heard() -> None:
    script = Script(lambda _: response(200, STREAM, Content_Type="text/event-stream"))
    with client_of(script) as client:
        events = client.events(["step", "certified"])
        found = [next(events) for _ in range(5)]
        events.close()
    assert found == [*EVENTS, *EVENTS[:2]]
    assert [request.headers.get("Last-Event-ID") for request in script.asked] == [None, "9"]
    assert script.asked[0].url.params["kinds"] == "step,certified"


def test_stream_that_brings_nothing__is_given_up() -> None:
    script = Script(lambda _: response(200, b"retry: 1\n\n"))
    with client_of(script) as client, pytest.raises(UnreachableError):
        next(client.events())
    assert len(script.asked) == 11
    with client_of(Script(refused(400))) as client, pytest.raises(InvalidRequestError):
        next(client.events())


# -- the real API ------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_async_client__reads_the_real_api(tmp_path: Path) -> None:
    with round_service(tmp_path, rounds=3) as service:
        transport = in_memory(service)
        async with AsyncClient("http://127.0.0.1", transport=transport, cache=Cache.NONE) as client:
            status = await client.status()
            assert [one.round async for one in client.rounds()] == [2, 1, 0]
            assert [one.round for one in await client.newest_rounds(2)] == [2, 1]
            detail = await client.round(0)
            keys = [one.public_key async for one in client.encoders()]
            history = await client.encoder(keys[0])
            assert [one.round for one in history.history] == [0]
            assert [one.epoch async for one in client.epochs()] == [0]
            assert (await client.epoch(0)).validators == len([one async for one in client.validators()])
            assert [one.term async for one in client.disputes(0)] == ["weight"]
            assert [one async for one in client.evidence()] == []
        item = next(iter(service.store.embeddings()))
        network_id = status.network_id
        async with AsyncClient(
            "http://127.0.0.1", transport=transport, network_id=network_id, cache=Cache.NONE
        ) as client:
            found = await client.verify_item(item.item_id)
            assert found.raw.tobytes() == item.vector
            report = detail.shards[0].report
            assert report is not None
            size_bytes = await client.report_bundle(report, tmp_path / "a.dmr")
            assert (tmp_path / "a.dmr").stat().st_size == size_bytes
            assert found.report.hex() == report


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
