"""OpenAI-compatible servers as a model: over real sockets, with the faults servers have."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.encoders import DIMENSIONS, EncoderError, endpoint_servers
from node.encoders import endpoint as module
from node.encoders.endpoint import BATCH_VIEWS, TRIES, EndpointModel
from node.encoders.endpoint_answer import RETRY_AFTER_S_MAX, retry_after_s
from node.encoders.endpoint_servers import (
    AT_ONCE_PER_SERVER,
    JITTER,
    PAUSE_S_MAX,
    NoServerError,
    Server,
    Servers,
)
from node.model_process.client import ModelProcess, ModelSettings
from tests.support.embedding_server import WIDTH, embedding, embedding_server

VIEWS = [f"view number {number} of many" for number in range(150)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_servers, "PAUSE_S", 0.001)
    for name in module.KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def rows_json(*rows: tuple[int, list[object]]) -> bytes:
    return json.dumps({"data": [{"index": index, "embedding": row} for index, row in rows]}).encode()


def unit(views: list[str]) -> np.ndarray:
    rows = np.array([embedding(view) for view in views])
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_views__are_asked_in_batches_and_come_back_in_order() -> None:
    with embedding_server(turned=True) as server:
        model = EndpointModel(f"bge@{server.url}/")
        np.testing.assert_allclose(model.embed(VIEWS), unit(VIEWS), atol=1e-5)
        assert model.dimensions == WIDTH
        sizes = sorted(len(request["input"]) for request, _ in server.asked)
        assert sizes == [150 - 2 * BATCH_VIEWS, BATCH_VIEWS, BATCH_VIEWS]
        assert {request["model"] for request, _ in server.asked} == {"bge"}
        assert model.embed([]).shape == (0, WIDTH)


def test_several_servers__share_the_batches() -> None:
    with embedding_server() as one, embedding_server() as other:
        model = EndpointModel(f"bge@{one.url},{other.url}")
        np.testing.assert_allclose(model.embed(VIEWS), unit(VIEWS), atol=1e-5)
        assert {len(one.asked), len(other.asked)} == {1, 2}
        model.embed(VIEWS[:1])
        model.embed(VIEWS[1:2])
        assert {len(one.asked), len(other.asked)} == {2, 3}  # few views at a time do not all go to the first


def test_few_views__are_split_among_the_servers() -> None:
    with embedding_server() as one, embedding_server() as other:
        model = EndpointModel(f"bge@{one.url},{other.url}")
        model.embed(VIEWS[:40])
        assert [len(request["input"]) for request, _ in one.asked + other.asked] == [20, 20]
        assert model.views_at_once == 2 * BATCH_VIEWS * endpoint_servers.AT_ONCE_PER_SERVER


def test_busy_server__is_asked_again_and_the_next_one_helps() -> None:
    with embedding_server(busy=2) as one, embedding_server(busy=1) as other:
        model = EndpointModel(f"bge@{one.url},{other.url}")
        np.testing.assert_allclose(model.embed(VIEWS[:5]), unit(VIEWS[:5]), atol=1e-5)
        assert 3 <= len(one.asked) + len(other.asked) <= 4


def test_dead_server__is_given_up_with_its_reason() -> None:
    with socket.socket() as taken:  # bound and never listening: nobody else gets its port
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(EncoderError, match=rf"does not answer after {TRIES} tries: {url}"):
            EndpointModel(f"bge@{url}").embed(["a"])


def test_dead_server__does_not_matter_beside_one_that_answers() -> None:
    with socket.socket() as taken, embedding_server() as server:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        model = EndpointModel(f"bge@{url},{server.url}")
        np.testing.assert_allclose(model.embed(VIEWS), unit(VIEWS), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": 401, "body": b"who are you?"}, "refuses with 401: who are you.*DELTAMESH_MODEL_API_KEY"),
        ({"status": 404, "body": b"no such model"}, "refuses with 404: no such model"),
        ({"status": 302, "body": b""}, "refuses with 302"),
        ({"body": b"<html>hello</html>"}, "does not answer as an OpenAI-compatible server"),
        ({"body": rows_json()}, "answers 0 rows for 2 views"),
        ({"body": rows_json((0, [1]), (0, [1]))}, "2 rows for 2"),
        ({"body": rows_json((0, [1]), (1, [1, 2]))}, "no matrix"),
        ({"body": rows_json((0, ["a"]))}, "does not answer as an OpenAI"),
    ],
)
def test_wrong_answer__is_told_and_not_asked_for_again(changes: dict[str, object], why: str) -> None:
    with embedding_server(**changes) as server:
        with pytest.raises(EncoderError, match=why):
            EndpointModel(f"bge@{server.url}").embed(["a", "b"])
        assert len(server.asked) == 1


def test_endless_answer__is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1000)
    with (
        embedding_server(body=b"x" * 100_000) as server,
        pytest.raises(EncoderError, match="answers 1 views with over 0 MiB"),
    ):
        EndpointModel(f"bge@{server.url}").embed(["a"])


def test_servers_of_different_models__are_found_out() -> None:
    with (
        embedding_server() as one,
        embedding_server(width=8) as other,
        pytest.raises(
            EncoderError, match=r"rows of 8 numbers, http.* returns rows of 24 numbers: serve one model"
        ),
    ):
        EndpointModel(f"bge@{one.url},{other.url}").embed(VIEWS)


def test_key__is_taken_from_the_environment_and_from_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding_server() as server:
        model = EndpointModel(f"bge@{server.url}")
        model.embed(["a"])
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        model.embed(["a"])
        monkeypatch.setenv("DELTAMESH_MODEL_API_KEY", "sk-2")
        model.embed(["a"])
        assert [headers.get("Authorization") for _, headers in server.asked] == [
            None,
            "Bearer sk-1",
            "Bearer sk-2",
        ]
    assert "sk-2" not in model.name


@pytest.mark.parametrize(
    "target",
    [
        "bge",
        "bge@",
        "@http://host/v1",
        "bge@ftp://host/v1",
        "bge@host:80/v1",
        "bge@http:///v1",
        "b@http://h?x=1",
    ],
)
def test_target__without_a_server_is_refused(target: str) -> None:
    with pytest.raises(EncoderError, match="server: write"):
        EndpointModel(target)


def test_password_in_an_address__is_refused() -> None:
    with pytest.raises(EncoderError, match="must not hold a password"):
        EndpointModel("bge@http://me:secret@host/v1")


def test_fingerprint__tells_models_apart() -> None:
    with embedding_server() as server, embedding_server(width=8) as other:
        one = EndpointModel(f"bge@{server.url}").fingerprint()
        assert EndpointModel(f"bge@{server.url}").fingerprint() == one
        assert EndpointModel(f"bge@{other.url}").fingerprint() != one


# -- what servers say beside their answers -------------------------------------------------------------------


@pytest.mark.parametrize(("knows", "requests"), [(True, 2), (None, 2), (False, 3)])
def test_rows__are_asked_for_packed_and_taken_either_way(knows: bool | None, requests: int) -> None:
    with embedding_server(knows_base64=knows) as server:
        model = EndpointModel(f"bge@{server.url}")
        for _ in range(2):
            np.testing.assert_allclose(model.embed(VIEWS[:3]), unit(VIEWS[:3]), atol=1e-5)
        assert len(server.asked) == requests  # who does not know it is asked in vain once
        assert server.asked[-1][0]["encoding_format"] == ("float" if knows is False else "base64")


@pytest.mark.parametrize("packed", ["====", "AAA", "no base64 at all"])
def test_packed_rows__that_are_none_are_told(packed: str) -> None:
    with (
        embedding_server(body=rows_json((0, packed))) as server,  # type: ignore[arg-type]
        pytest.raises(EncoderError, match="does not answer as an OpenAI-compatible server"),
    ):
        EndpointModel(f"bge@{server.url}").embed(["a"])


def test_server_that_asks_to_wait_for_long__is_not_waited_for() -> None:
    with embedding_server(status=429, retry_after="300") as server:
        model = EndpointModel(f"bge@{server.url}")
        with pytest.raises(EncoderError, match=r"has no server to ask: .* 429 and asks to wait 300 s"):
            model.embed(["a"])
        with pytest.raises(EncoderError, match="asks to wait 300 s"):
            model.embed(["a"])
        assert len(server.asked) == 1  # nor asked again before


def test_server_that_asks_to_wait__is_asked_when_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding_server(status=503, retry_after="0") as server:
        with pytest.raises(EncoderError, match=f"after {TRIES} tries: .* answers 503 and asks to wait 0 s"):
            EndpointModel(f"bge@{server.url}").embed(["a"])
        assert len(server.asked) == TRIES


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        (None, None),
        ("12", 12.0),
        ("-3", 0.0),
        ("1e9", RETRY_AFTER_S_MAX),
        ("nan", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 2815 07:28:00 GMT", RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after__is_a_number_a_date_or_nothing(value: str | None, wait_s: float | None) -> None:
    assert retry_after_s(value) == wait_s


def test_server_that_refuses__does_not_matter_beside_one_that_answers() -> None:
    with embedding_server(status=404) as one, embedding_server() as other:
        model = EndpointModel(f"bge@{one.url},{other.url}")
        np.testing.assert_allclose(model.embed(VIEWS), unit(VIEWS), atol=1e-5)
        asked = len(one.asked)
        model.embed(VIEWS)
        assert len(one.asked) == asked  # it rests


def test_answer_that_never_ends__is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_WITHIN_S", 0.2)
    with embedding_server(trickles=True) as server:
        with pytest.raises(EncoderError, match=r"was still answering after 0\.2 s"):
            EndpointModel(f"bge@{server.url}").embed(["a"])
        server.trickles = False


def test_key__is_in_no_message_though_a_server_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with (
        embedding_server(status=401, body=b"wrong: ", echoes_key=True) as server,
        pytest.raises(EncoderError, match=r"refuses with 401: wrong: Bearer \[the key\]") as told,
    ):
        EndpointModel(f"bge@{server.url}").embed(["a"])
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("key", ["sk-secret\nHost: elsewhere", "sk-secr\u00e9t"])
def test_key__that_no_header_can_hold_is_refused_without_being_told(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with embedding_server() as server:
        with pytest.raises(EncoderError, match="the key in OPENAI_API_KEY holds characters") as told:
            EndpointModel(f"bge@{server.url}").embed(["a"])
        assert "secr" not in str(told.value)
        assert server.asked == []


# -- whom to ask ---------------------------------------------------------------------------------------------


class Clock:
    """Time a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_server_that_failed__is_left_out_and_tried_again_one_request_at_a_time() -> None:
    clock = Clock()
    servers = Servers(["one", "other"], clock)
    one, other = servers.all
    taken = servers.take(clock.now_s)
    assert taken is one
    servers.failed(one, "one is gone")
    for _ in range(AT_ONCE_PER_SERVER):
        assert servers.take(clock.now_s) is other
    with pytest.raises(NoServerError, match="one is gone"):
        servers.take(clock.now_s)
    clock.now_s = one.rested_s
    assert servers.take(clock.now_s) is one
    with pytest.raises(NoServerError):  # a second has to wait for what becomes of the first
        servers.take(clock.now_s)
    servers.answered(one)
    assert [servers.take(clock.now_s) for _ in range(2)] == [one, one]


def test_only_server__rests_no_longer_than_a_pause() -> None:
    clock = Clock()
    servers = Servers(["one"], clock)
    for _ in range(8):
        server = servers.take(clock.now_s)
        servers.failed(server, "gone")
        assert server.again_s - clock.now_s <= PAUSE_S_MAX * JITTER[1]
        clock.now_s = server.again_s
    assert server.rested_s > server.again_s


@given(st.lists(st.sampled_from(["take", "answered", "failed", "wait"]), max_size=60), st.integers(1, 4))
def test_servers__never_have_more_in_flight_than_they_may(steps: list[str], count: int) -> None:
    clock = Clock()
    servers = Servers([str(number) for number in range(count)], clock)
    out: list[Server] = []
    for step in steps:
        if step == "take":
            try:
                out.append(servers.take(clock.now_s))
            except NoServerError:
                assert all(one.in_flight or one.failures for one in servers.all)
        elif step == "wait":
            clock.now_s += 1.5
        elif out:
            server = out.pop(0)
            servers.answered(server) if step == "answered" else servers.failed(server, "gone")
        assert sum(one.in_flight for one in servers.all) == len(out)
        assert all(0 <= one.in_flight <= AT_ONCE_PER_SERVER for one in servers.all)


# -- through the model's process -----------------------------------------------------------------------------


def test_waves__are_spread_over_the_servers_and_the_key_is_printed_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DELTAMESH_MODEL_API_KEY", "sk-secret")
    views = [f"{view} {number}" for number in range(2) for view in VIEWS]
    with embedding_server() as one, embedding_server(status=401, echoes_key=True) as other:
        name = f"openai:bge@{one.url},{other.url}"
        with ModelProcess(ModelSettings(name, "wordllama-64", tmp_path)) as process:
            rows = process.encode(views)
            assert rows.shape == (300, DIMENSIONS)
            assert np.isfinite(rows).all()
            other.status, other.echoes_key = 200, False
            before = len(other.asked)
            until_s = time.monotonic() + 60
            while len(other.asked) == before and time.monotonic() < until_s:
                process.encode(views)
                time.sleep(0.05)  # it rests by the clock
        assert len(other.asked) > before  # tried again, and used again
        assert {headers["Authorization"] for _, headers in one.asked} == {"Bearer sk-secret"}
    printed = capfd.readouterr()
    assert f"{other.url} refuses with 401" in printed.err
    assert "secret" not in printed.err + printed.out
