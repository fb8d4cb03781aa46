"""Answers remembered until what they follow from changes: never an older one, no more of them than told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from node.api import remembered
from node.api.app import make_app
from node.api.remembered import AnswerRemembered, Remembered, RememberedAnswers, State
from node.api.service import Service
from node.clock import now_ms
from node.metrics.validator import ValidatorMetrics
from node.roles.standing import Standing
from node.status import STALE_MS, NodeStatus
from node.store import Store
from protocol.items import item_id
from tests.support.api import guarded_client, status_of
from tests.support.api_reading import HISTORY, PEERS, STEP, WAITING, get, refusal, whole_service
from tests.support.measured import value_of

BASE_URL = "http://127.0.0.1:7780"
LEFT_MS = 5_000
REMEMBERED = Remembered((), b"", "/here", None)
WHERE = f"/v1/items/{item_id(WAITING).hex()}?embedding=none"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with whole_service(tmp_path) as opened:
        yield opened


@pytest.fixture
def app(service: Service) -> FastAPI:
    return make_app(service)


@pytest.fixture
def answers(app: FastAPI) -> RememberedAnswers:
    found: RememberedAnswers = app.state.reading.answers
    return found


@pytest.fixture
def api(app: FastAPI, answers: RememberedAnswers) -> Iterator[TestClient]:
    with TestClient(AnswerRemembered(app, answers), base_url=BASE_URL) as client:
        yield client


def told(answers: RememberedAnswers) -> State:
    """What answers follow from now."""
    found = answers.state()
    assert found is not None
    return found


@contextmanager
def moving(service: Service, told: list[NodeStatus]) -> Iterator[tuple[TestClient, list[str]]]:
    """A client of a node whose status is the one in the list, and the paths its routes were asked for."""
    app = make_app(replace(service, status=lambda: told[0]))
    asked: list[str] = []

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope.get("path", ""))
        await app(scope, receive, send)

    yield TestClient(AnswerRemembered(noted, app.state.reading.answers), base_url=BASE_URL), asked


def writing(service: Service) -> Store:
    """The node's own connection."""
    return Store.open(service.directory.store, service.directory.blobs)


def test_answer__asked_for_again_is_not_made_again(
    service: Service, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(service):  # a node keeps its connection open
        first = api.get(WHERE)
        reads: list[bytes] = []
        monkeypatch.setattr(Store, "item", lambda _, name: reads.append(name))
        again = api.get(WHERE)
        assert (again.content, again.headers) == (first.content, first.headers)
        assert reads == []


def test_answer__after_every_write_of_the_node_is_the_new_one(service: Service, api: TestClient) -> None:
    with writing(service) as store:
        assert get(api, WHERE)["state"] == "pending"
        store.mark_dealt([item_id(WAITING)], 9)
        assert (get(api, WHERE)["state"], get(api, WHERE)["round"]) == ("dealt", 9)
        store.mark_released([item_id(WAITING)], 9)
        assert get(api, WHERE)["state"] == "released"
        before = len(get(api, "/v1/rounds/4")["shards"][0]["steps"])
        store.record_step(STEP)
        assert len(get(api, "/v1/rounds/4")["shards"][0]["steps"]) == before + 1


def test_answer__of_another_query_is_another(api: TestClient) -> None:
    assert len(get(api, "/v1/rounds?limit=1")["rounds"]) == 1
    assert len(get(api, "/v1/rounds?limit=2")["rounds"]) == 2
    assert get(api, "/v1/rounds?limit=1&before=3")["rounds"][0]["round"] == 2


def test_answer__made_while_the_node_writes_is_not_told_to_the_next(
    service: Service, answers: RememberedAnswers
) -> None:
    with writing(service) as store:
        early = told(answers)
        store.mark_dealt([item_id(WAITING)], 9)
        late = told(answers)  # of a request that overtakes the first
        assert late != early
        answers.keep(("/early", b""), REMEMBERED, early)
        assert answers.find(("/early", b""), late) is None
        answers.keep(("/late", b""), REMEMBERED, late)
        assert told(answers) == late
        assert answers.find(("/late", b""), late) is REMEMBERED
        store.mark_released([item_id(WAITING)], 9)
        assert answers.find(("/late", b""), told(answers)) is None


@pytest.mark.parametrize("path", ["/v1/status", "/v1/peers", "/v1/validators", "/healthz", "/readyz"])
def test_answer__of_the_status_is_remembered_until_there_is_another(service: Service, path: str) -> None:
    told = [status_of(HISTORY, peers=PEERS)]
    with writing(service), moving(service, told) as (api, asked):
        first = api.get(path)
        assert (first.status_code, asked.count(path)) == (200, 1)
        assert (api.get(path).content, api.get(path).headers) == (first.content, first.headers)
        assert asked.count(path) == 1
        told[0] = status_of(HISTORY, phase=Standing.EXPECTED.value)
        changed = api.get(path)
        assert asked.count(path) == 2
        assert path == "/healthz" or changed.content != first.content


def test_answer__of_a_status_that_is_old_is_not_told_again(service: Service) -> None:
    told = [status_of(HISTORY, updated_ms=now_ms() - STALE_MS + LEFT_MS)]
    with writing(service), moving(service, told) as (api, asked):
        assert api.get("/healthz").json()["ok"]
        with (
            patch("node.api.remembered.now_ms", lambda: told[0].updated_ms + STALE_MS + 1),
            patch("node.api.routes.health.now_ms", lambda: told[0].updated_ms + STALE_MS + 1),
        ):
            for _ in range(2):
                hanging = api.get("/healthz")
                assert hanging.status_code == 503
                assert "silent" in hanging.json()["reasons"][0]
        assert asked.count("/healthz") == 3


def test_answer__is_counted_by_its_route_however_it_was_found(service: Service) -> None:
    measured = ValidatorMetrics()
    api = guarded_client(service, measured)
    with writing(service):
        for _ in range(3):
            assert api.get("/v1/rounds/3").status_code == 200
        assert api.head("/v1/rounds/3").content == b""
        text = measured.exposition().decode()
    labels = {"route": "/v1/rounds/{number}", "status": "2xx"}
    assert value_of(text, "deltamesh_http_requests_total", method="GET", **labels) == 3
    assert value_of(text, "deltamesh_http_requests_total", method="HEAD", **labels) == 1
    seconds = value_of(text, "deltamesh_http_response_start_seconds_count", route="/v1/rounds/{number}")
    assert seconds == 4


def test_answer__with_a_name_of_the_version_the_client_has_is_made_anew(
    service: Service, api: TestClient, answers: RememberedAnswers
) -> None:
    with writing(service):
        known = {"If-None-Match": '"none"'}
        assert api.get("/v1/rounds/3", headers=known).status_code == 200
        assert not answers._answers
        assert api.get("/v1/rounds/3").status_code == 200
        assert [path for path, _ in answers._answers] == ["/v1/rounds/3"]


def test_request__that_changes_something_is_never_answered_from_memory(
    api: TestClient, answers: RememberedAnswers
) -> None:
    get(api, "/v1/rounds/3")
    assert answers._answers
    assert api.post("/v1/rounds/3").status_code == 405


def test_refusal__is_not_remembered(api: TestClient, answers: RememberedAnswers) -> None:
    for _ in range(2):
        assert refusal(api, f"/v1/items/{'ab' * 32}", 404)["code"] == "unknown_item"
    assert not answers._answers


def test_remembered__while_another_thread_reads_waits_for_nobody(
    service: Service, answers: RememberedAnswers
) -> None:
    assert answers.state() is not None
    held, done = threading.Event(), threading.Event()

    def read_long() -> None:
        with service.store._lock:
            held.set()
            done.wait(10)

    reader = threading.Thread(target=read_long)
    reader.start()
    held.wait(10)
    try:
        assert answers.state() is None
    finally:
        done.set()
        reader.join()


def test_remembered__are_no_more_than_told(
    api: TestClient, answers: RememberedAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "ANSWERS_MAX", 3)
    for fact in HISTORY.facts:
        get(api, f"/v1/rounds/{fact.at.round}")
    assert list(answers._answers) == [(f"/v1/rounds/{number}", b"") for number in (3, 4, 5)]
    monkeypatch.setattr(remembered, "ANSWER_BYTES_MAX", 10)
    get(api, "/v1/rounds/0")
    monkeypatch.setattr(remembered, "KEY_BYTES_MAX", 5)
    get(api, "/v1/rounds/1")
    assert len(answers._answers) == 3
