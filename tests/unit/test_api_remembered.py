"""Answers remembered until the store changes: never an older one, and no more of them than told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.responses import Response

from node.api import remembered
from node.api.remembered import RememberedAnswers
from node.api.service import Service
from node.store import Store
from protocol.items import item_id
from tests.support.api import client_of
from tests.support.api_reading import HISTORY, STEP, WAITING, get, refusal, whole_service

WHERE = f"/v1/items/{item_id(WAITING).hex()}?embedding=none"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with whole_service(tmp_path) as opened:
        yield opened


@pytest.fixture
def api(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        yield client


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


def test_answer__made_while_the_node_writes_is_not_told_to_the_next(service: Service) -> None:
    answers = RememberedAnswers(service.store)
    with writing(service) as store:
        early = answers.version()
        assert early is not None
        store.mark_dealt([item_id(WAITING)], 9)
        late = answers.version()  # of a request that overtakes the first
        assert late not in (None, early)
        answers.keep("/early", Response(b"old"), early)
        assert answers.find("/early") is None
        answers.keep("/late", Response(b"new"), late)  # type: ignore[arg-type]
        assert answers.version() == late
        assert answers.find("/late") is not None
        store.mark_released([item_id(WAITING)], 9)
        answers.version()
        assert answers.find("/late") is None


def test_refusal__is_not_remembered(service: Service, api: TestClient) -> None:
    for _ in range(2):
        assert refusal(api, f"/v1/items/{'ab' * 32}", 404)["code"] == "unknown_item"
    assert not api.app.state.reading.answers._answers  # type: ignore[attr-defined]


def test_remembered__while_another_thread_reads_waits_for_nobody(service: Service) -> None:
    answers = RememberedAnswers(service.store)
    assert answers.version() is not None
    held, done = threading.Event(), threading.Event()

    def read_long() -> None:
        with service.store._lock:
            held.set()
            done.wait(10)

    reader = threading.Thread(target=read_long)
    reader.start()
    held.wait(10)
    try:
        assert answers.version() is None
    finally:
        done.set()
        reader.join()


def test_remembered__are_no_more_than_told(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "ANSWERS_MAX", 3)
    for fact in HISTORY.facts:
        get(api, f"/v1/rounds/{fact.at.round}")
    kept = api.app.state.reading.answers._answers  # type: ignore[attr-defined]
    assert list(kept) == ["/v1/rounds/3?", "/v1/rounds/4?", "/v1/rounds/5?"]
    monkeypatch.setattr(remembered, "ANSWER_BYTES_MAX", 10)
    get(api, "/v1/rounds/0")
    monkeypatch.setattr(remembered, "KEY_CHARS_MAX", 5)
    get(api, "/v1/rounds/1")
    assert len(kept) == 3
