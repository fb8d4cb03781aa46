"""POST /v1/embeddings: what is certified is answered, bit for bit; the rest is queued, nonsense refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from node.api.embedding.answer import _encoded
from node.api.embedding.jobs import Encoding
from node.store import ItemState, StoreLimits
from node.store.database import Access, connect
from node.store.items import Items
from protocol.report import DIMENSIONS
from tests.support.api import client_of
from tests.support.certifier import Certifier, certifier_over, name_of, vector_of

NOW = {"Prefer": "wait=0"}


@pytest.fixture
def certifier(tmp_path: Path) -> Iterator[Certifier]:
    with certifier_over(tmp_path) as certifier:
        yield certifier


@pytest.fixture
def client(certifier: Certifier) -> Iterator[TestClient]:
    with client_of(certifier.service) as client:
        yield client


def ask(client: TestClient, given: Any, **more: Any) -> Any:
    return client.post("/v1/embeddings", json={"input": given, "model": "deltamesh", **more}, headers=NOW)


def floats(encoded: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(encoded), "<f4")


def test_certified_texts__are_answered_at_once_in_order_with_their_certificates(
    certifier: Certifier, client: TestClient
) -> None:
    first = certifier.certify_texts("one text", "another text")
    second = certifier.certify_texts("a third")
    answer = ask(client, ["a third", "one  text", "a third", "another text "]).json()
    assert [row["index"] for row in answer["data"]] == [0, 1, 2, 3]
    told = answer["deltamesh"]
    assert [item["certificate"] for item in told["items"]] == [
        digest.hex() for digest in (second, first, second, first)
    ]
    assert {item["served"] for item in told["items"]} == {"repeat"}
    assert told["items"][1]["item_id"] == name_of("one text").hex()
    assert (told["space"], told["epoch"], told["public"]) == ("epoch 0", 0, True)
    assert told["network_id"] == certifier.service.genesis.network_id.hex()
    assert answer["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert certifier.store.pending(10) == []


def test_vectors__are_the_certified_ones_in_the_newest_space(
    certifier: Certifier, client: TestClient
) -> None:
    certifier.certify_texts("one text")
    raw = vector_of("one text").astype(np.float64)
    found = np.array(ask(client, "one text").json()["data"][0]["embedding"])
    # Epoch 0 has no past: the transform is the identity, the length is taken out.
    np.testing.assert_allclose(found, raw / np.linalg.norm(raw), rtol=1e-6)


@given(arrays.arrays(np.float32, DIMENSIONS, elements=st.floats(-1, 1, width=32)))
def test_encodings__hold_the_same_floats_bit_for_bit(vector: np.ndarray[Any, Any]) -> None:

    as_numbers = np.array(json.loads(_encoded(vector, Encoding.FLOAT)), np.float32)
    as_bytes = floats(json.loads(_encoded(vector, Encoding.BASE64)))
    assert as_numbers.tobytes() == as_bytes.tobytes() == vector.tobytes()


def test_encoding_formats__of_one_answer_are_equal(certifier: Certifier, client: TestClient) -> None:
    certifier.certify_texts("one text")
    numbers = ask(client, "one text", encoding_format="float").json()["data"][0]["embedding"]
    encoded = ask(client, "one text", encoding_format="base64").json()["data"][0]["embedding"]
    assert np.array(numbers, np.float32).tobytes() == floats(encoded).tobytes()


def test_new_text__is_queued_and_its_answer_named_when_the_time_is_over(
    certifier: Certifier, client: TestClient
) -> None:
    answer = ask(client, "words nobody knows")
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "not_certified_in_time"
    assert int(answer.headers["retry-after"]) > 0
    (queued,) = certifier.store.pending(10)
    assert (queued.content, queued.source) == (b"words nobody knows", "api")
    job = answer.headers["location"]
    assert client.get(job).json()["status"] == "queued"
    certifier.certify_texts("words nobody knows")
    done = client.get(job).json()
    assert (done["status"], done["done"], done["total"]) == ("done", 1, 1)
    assert done["response"] == {**ask(client, "words nobody knows").json()} | {
        "deltamesh": done["response"]["deltamesh"]
    }
    assert done["response"]["deltamesh"]["items"][0]["served"] == "round"


def test_item_without_embedding__is_named_by_its_index(certifier: Certifier, client: TestClient) -> None:
    place = ask(client, ["good", "bad"]).headers["location"]
    certifier.certify({"good": vector_of("good"), "bad": None})
    error = client.get(place).json()["error"]
    assert (error["param"], error["code"]) == ("input[1]", "no_embedding")
    assert "round 100" in error["message"]
    assert ask(client, ["good"]).status_code == 200


def test_item_certified_without_embedding__is_dealt_once_more_when_asked_for(
    certifier: Certifier, client: TestClient
) -> None:
    certifier.certify({"unlucky": None})
    assert ask(client, "unlucky").status_code == 504
    (queued,) = certifier.store.pending(9)
    assert (queued.content, queued.released_round) == (b"unlucky", 100)  # served, never scored
    certifier.certify_texts("unlucky")
    assert ask(client, "unlucky").status_code == 200
    assert certifier.store.pending(9) == []


def test_request_waiting_for_a_bad_round__is_told(certifier: Certifier, client: TestClient) -> None:
    certifier.certify({"good": vector_of("good")})
    waiting = certifier.service.queue.submit_item

    def submit_and_certify(*arguments: Any, **more: Any) -> Any:
        put = waiting(*arguments, **more)
        certifier.certify({"bad": None})
        return put

    object.__setattr__(certifier.service, "queue", SimpleNamespace(submit_item=submit_and_certify))
    answer = ask(client, ["good", "bad"])
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("input[1]", "no_embedding")
    assert "dealt once more" in error["message"]


def test_vector_without_direction__is_no_embedding(certifier: Certifier, client: TestClient) -> None:
    certifier.certify({"nowhere": np.zeros(DIMENSIONS, np.float32)})
    answer = ask(client, "nowhere")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no_embedding")


def test_round_not_certified_whole__is_waited_for(certifier: Certifier, client: TestClient) -> None:
    certifier.certify({"early": vector_of("early")}, whole=False)
    assert ask(client, "early").status_code == 504
    certifier.certify({"early": vector_of("early")})
    assert ask(client, "early").status_code == 200


def test_full_queue__refuses_with_a_time_to_come_back(certifier: Certifier, client: TestClient) -> None:
    service = certifier.service
    limits = StoreLimits(pending_items_max=2)
    path = service.directory.store
    with Items(path, connect(path, Access.READ_WRITE, limits), limits) as queue:
        object.__setattr__(service, "queue", queue)
        answer = ask(client, ["one", "two", "three"])
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "queue_full"
        assert int(answer.headers["retry-after"]) == service.genesis.parameters.slot_ms // 1_000
        # What found room stays queued: the same request again goes on from there.
        assert certifier.store.item_counts()[ItemState.PENDING] == 2


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": [1, 2, 3]}, 400, "input"),
        ({"input": [[1, 2], [3]]}, 400, "input"),
        ({"input": [True]}, 400, "input"),
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input[0]"),
        ({"input": ["fine", " \n"]}, 400, "input[1]"),
        ({"input": ["fine", "x" * 8_193]}, 400, "input[1]"),
        ({"input": ["\ud800"]}, 400, "input[0]"),
        ({"input": ["fine", None]}, 400, "input[1]"),
        ({"input": {"text": "x"}}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": ["x"] * 2_049}, 400, "input"),
        ({}, 400, "input"),
        ({"input": "x", "dimensions": 256}, 400, "dimensions"),
        ({"input": "x", "dimensions": "1024"}, 400, "dimensions"),
        ({"input": "x", "encoding_format": "hex"}, 400, "encoding_format"),
        ({"input": "x", "model": "text-embedding-3-small"}, 404, "model"),
        ({"input": "x", "truncate": True}, 400, "truncate"),
    ],
)
def test_nonsense__is_refused_with_the_field_that_is_wrong(
    certifier: Certifier, client: TestClient, body: dict[str, Any], status: int, param: str
) -> None:

    data = json.dumps(body).encode()  # httpx refuses lone surrogates
    answer = client.post("/v1/embeddings", content=data, headers={**NOW, "Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["param"] == param
    assert certifier.store.pending(1) == []


@pytest.mark.parametrize(("count", "remedy"), [(0, "send at least one"), (2_049, "send several requests")])
def test_number_of_inputs__is_told_with_what_to_send(client: TestClient, count: int, remedy: str) -> None:
    message = ask(client, ["x"] * count).json()["error"]["message"]
    assert message == f"input has {count} entries, 1 to 2048 are allowed: {remedy}"


def test_token_arrays__are_refused_by_what_they_are(client: TestClient) -> None:
    error = ask(client, [[15339, 1917]]).json()["error"]
    assert error["code"] == "tokens_not_supported"
    assert "send the strings" in error["message"]


@pytest.mark.parametrize("accepted", [{"dimensions": 1024}, {"user": "me"}, {"model": "memory"}])
def test_what_openai_knows__is_accepted(
    certifier: Certifier, client: TestClient, accepted: dict[str, Any]
) -> None:
    certifier.certify_texts("one text")
    assert ask(client, "one text", **accepted).status_code == 200


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["a", "b b", "c c c", "d d d d"]), min_size=1, max_size=12))
def test_doubles__are_answered_each_at_its_place(
    certifier: Certifier, client: TestClient, texts: list[str]
) -> None:
    if not certifier.rounds:
        certifier.certify_texts("a", "b b", "c c c", "d d d d")
    answer = ask(client, texts, encoding_format="base64").json()
    found = [floats(row["embedding"]) for row in answer["data"]]
    for text, vector in zip(texts, found, strict=True):
        raw = vector_of(text)
        np.testing.assert_allclose(vector, raw / np.linalg.norm(raw), rtol=1e-5)
    assert answer["usage"]["prompt_tokens"] == sum(len(text.split()) for text in texts)


def test_models__are_one_by_three_names(client: TestClient) -> None:
    listed = client.get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == ["deltamesh"]
    assert client.get("/v1/models/memory").json() == client.get("/v1/models/deltamesh").json()
    assert client.get("/v1/models/gpt-4").status_code == 404
