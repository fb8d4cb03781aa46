"""OpenAI-compatible servers as a model: over real sockets, with the faults servers have."""

from __future__ import annotations

import json
import socket

import numpy as np
import pytest

from node.encoders import EncoderError
from node.encoders import endpoint as module
from node.encoders.endpoint import BATCH_VIEWS, TRIES, EndpointModel
from tests.support.embedding_server import WIDTH, embedding, embedding_server

VIEWS = [f"view number {number} of many" for number in range(150)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)
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
        assert len(one.asked) == 2
        assert len(other.asked) == 1


def test_busy_server__is_asked_again_and_the_next_one_helps() -> None:
    with embedding_server(busy=2) as one, embedding_server(busy=1) as other:
        model = EndpointModel(f"bge@{one.url},{other.url}")
        np.testing.assert_allclose(model.embed(VIEWS[:5]), unit(VIEWS[:5]), atol=1e-5)
        assert len(one.asked) + len(other.asked) == 4


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
        pytest.raises(EncoderError, match=r"rows of \[8, 24\] numbers: serve one model"),
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
